"""The table of llama-server's flags holds every field that a model and the settings have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import get_type_hints

from llama_swap_config.flags import BY_NAME, FLAGS, RENDER_NO_FLAG
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.model import Model


def field_names(of: type) -> Iterator[str]:
    """Each field, and those of a field that is a dataclass itself: `sampling.top_k`."""
    types = get_type_hints(of)
    for each in fields(of):
        kind = types[each.name]
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from (f"{each.name}.{within}" for within in field_names(kind))
        else:
            yield each.name


def test_each_field_of_a_model_has_a_flag_or_a_reason_to_have_none() -> None:
    rendered = [flag.field for flag in FLAGS if flag.field]
    assert sorted([*rendered, *RENDER_NO_FLAG]) == sorted(field_names(Model))


def test_each_setting_of_llama_server_has_a_flag_but_for_where_its_files_are() -> None:
    rendered = [flag.setting for flag in FLAGS if flag.setting]
    assert sorted([*rendered, "binary", "models_dir"]) == sorted(field_names(ServerSettings))


def test_no_name_is_of_two_flags() -> None:
    assert len(BY_NAME) == sum(len(flag.names) for flag in FLAGS)


def test_a_flag_that_is_rendered_is_said_by_nobody_else() -> None:
    for flag in FLAGS:
        rendered = bool(flag.field or flag.setting or flag.always is not None)
        assert rendered <= bool(flag.refusal), flag
        assert (flag.always in (None, "")) or flag.takes_value, flag
