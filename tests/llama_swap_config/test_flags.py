"""The table of llama-server's flags covers every field of a model and of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import get_type_hints

from llama_swap_config.flags import BY_NAME, FLAGS, RENDER_NO_FLAG
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.model import Model


def field_names(owner: type) -> Iterator[str]:
    """Names of all fields, including those of nested dataclasses: `sampling.top_k`."""
    types = get_type_hints(owner)
    for field in fields(owner):
        kind = types[field.name]
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from (f"{field.name}.{nested}" for nested in field_names(kind))
        else:
            yield field.name


def test_every_field_of_a_model_has_a_flag_or_a_reason_for_none() -> None:
    rendered = [flag.field for flag in FLAGS if flag.field]
    assert sorted([*rendered, *RENDER_NO_FLAG]) == sorted(field_names(Model))


def test_every_setting_of_llama_server_but_paths_has_a_flag() -> None:
    rendered = [flag.setting for flag in FLAGS if flag.setting]
    assert sorted([*rendered, "binary", "models_dir"]) == sorted(field_names(ServerSettings))


def test_every_name_belongs_to_one_flag() -> None:
    assert len(BY_NAME) == sum(len(flag.names) for flag in FLAGS)


def test_extra_args_may_not_repeat_a_rendered_flag() -> None:
    for flag in FLAGS:
        rendered = bool(flag.field or flag.setting or flag.always is not None)
        assert rendered <= bool(flag.refusal), flag
        assert (flag.always in (None, "")) or flag.takes_value, flag
