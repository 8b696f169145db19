"""The rendered INI of llama-server's router, and a golden file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.residency import ONE_RESIDENT
from llama_swap_config.front_ends.front_end import Listen
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.router import ROUTER, render_router_preset
from llama_swap_config.front_ends.server_command import ServerSettings, model_args, shared_args
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Sampling
from tests.conftest import ROOT
from tests.llama_swap_config.front_ends.test_llama_swap import on_two_cards

GOLDEN = ROOT / "tests" / "golden" / "router-preset.ini"


def read(text: str) -> dict[str, dict[str, str]]:
    """Parse the INI as the router does."""
    sections: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections[line.strip("[]")] = {}
        elif line:
            key, _, value = line.partition(" = ")
            assert key not in section
            section[key] = value
    return sections


def changed(locked: tuple[LockedModel, ...], **fields: Any) -> tuple[LockedModel, ...]:
    first = locked[0]
    model = dataclasses.replace(first.model, **fields)
    return (dataclasses.replace(first, model=model), *locked[1:])


def rendered(locked: tuple[LockedModel, ...], **fields: Any) -> dict[str, dict[str, str]]:
    return read(render_router_preset(changed(locked, **fields), ServerSettings()))


def router_command() -> tuple[str, ...]:
    listen = Listen(port=8080, config_path="/config/router-preset.ini")
    return ROUTER.command(LlamaSwapSettings(), listen, ONE_RESIDENT)


def test_the_rendered_file_equals_the_golden_file(
    locked: tuple[LockedModel, ...], update_golden: bool
) -> None:
    text = render_router_preset(locked, ServerSettings())
    if update_golden:
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    assert text == render_router_preset(locked, ServerSettings())


def test_models_on_two_cards_name_their_devices(locked: tuple[LockedModel, ...]) -> None:
    sections = read(render_router_preset(on_two_cards(locked), ServerSettings()))
    assert "device" not in sections["*"]
    devices = [sections[it.model.id]["device"] for it in locked]
    assert devices == ["CUDA0", "CUDA1", "CUDA0,CUDA1"]
    split = sections[locked[-1].model.id]
    assert (split["split-mode"], split["tensor-split"]) == ("layer", "1,1")
    assert split["override-tensor"] == "no-pipeline-parallelism=CPU"
    assert "split-mode" not in sections[locked[0].model.id]


def test_sections_are_the_shared_one_and_the_models_in_order(
    locked: tuple[LockedModel, ...],
) -> None:
    assert list(rendered(locked)) == ["*", *(locked_model.model.id for locked_model in locked)]


def test_both_front_ends_pass_the_same_flags(locked: tuple[LockedModel, ...]) -> None:
    fields: dict[str, Any] = {
        "aliases": ("photos",),
        "sampling": Sampling(temperature=0.2, top_k=1),
        "extra_args": ("--no-warmup", "--threads", "4", "--seed", "-1", "--predict", "-1"),
    }
    (first, *_) = changed(locked, **fields)
    words = [*shared_args(ServerSettings()), *model_args(first)]
    flags = {word.lstrip("-") for word in words if word.startswith("-") and word != "-1"}
    sections = rendered(locked, **fields)
    told = {*sections["*"], *sections[first.model.id]}
    arguments = {word.lstrip("-") for word in router_command()}
    by_router = {"host", "port", "threads-http", "no-ui", "offline"}
    assert told == (flags - by_router) | {"stop-timeout", "sleep-idle-seconds"}
    assert by_router <= arguments
    assert not told & arguments


def test_the_files_have_absolute_paths(
    locked: tuple[LockedModel, ...],
) -> None:
    for model_id, section in rendered(locked).items():
        if model_id != "*":
            assert section["model"] == f"/models/{model_id}/model.gguf"
            assert section["mmproj"] == f"/models/{model_id}/mmproj.gguf"


def test_aliases_ttl_slots_and_extra_args_are_rendered(locked: tuple[LockedModel, ...]) -> None:
    section = rendered(
        locked,
        aliases=("photos", "gpt-4o"),
        ttl_s=60,
        parallel_slots=2,
        extra_args=("--no-warmup", "--chat-template-kwargs", '{"a": "b = [c]"}'),
    )["qwen3vl-8b"]
    assert section["alias"] == "photos,gpt-4o"
    assert section["sleep-idle-seconds"] == "60"
    assert section["np"] == "2"
    assert section["no-warmup"] == "true"
    assert section["chat-template-kwargs"] == '{"a": "b = [c]"}'


def test_ttl_0_renders_no_idle_time(locked: tuple[LockedModel, ...]) -> None:
    assert "sleep-idle-seconds" not in rendered(locked, ttl_s=0)["qwen3vl-8b"]


def test_a_text_model_has_no_projector(locked: tuple[LockedModel, ...]) -> None:
    section = rendered(locked, projector=None, image_max_tokens=None)["qwen3vl-8b"]
    assert not {"mmproj", "image-max-tokens"} & set(section)


def test_the_router_kills_a_hanging_model_after_one_second(
    locked: tuple[LockedModel, ...],
) -> None:
    assert rendered(locked)["*"]["stop-timeout"] == "1"


def test_the_router_command_reads_the_preset_and_loads_one_model() -> None:
    words = router_command()
    assert words[words.index("--models-max") + 1] == "1"
    assert words[words.index("--models-preset") + 1] == "/config/router-preset.ini"
    assert words[words.index("--host") + 1] == "0.0.0.0"
    assert words[words.index("--port") + 1] == "8080"
    assert int(words[words.index("--threads-http") + 1]) > ServerSettings().threads_http
    assert {"--no-ui", "--offline"} <= set(words)
    assert "--models-dir" not in words


INEXPRESSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "semicolon": (
        {"extra_args": ("--chat-template", "a;b")},
        "model 'qwen3vl-8b': extra_args --chat-template is 'a;b'; expected no ';', no '#'",
    ),
    "hash": ({"extra_args": ("--chat-template", "a #b")}, "--chat-template is 'a #b'"),
    "blank in front": ({"extra_args": ("--chat-template", " a")}, "is ' a'; expected no"),
    "blank behind": ({"extra_args": ("--chat-template", "a ")}, "is 'a '; expected no"),
    "a flag twice": (
        {"extra_args": ("--override-kv", "a=int:1", "--override-kv", "b=int:2")},
        "model 'qwen3vl-8b': extra_args is '--override-kv'; expected each flag once",
    ),
    "environment": (
        {"env": {"B": "1", "A": "2"}},
        "model 'qwen3vl-8b': env is 'A, B'; expected no variable with the front end",
    ),
}


@pytest.mark.parametrize(("fields", "message"), INEXPRESSIBLE.values(), ids=INEXPRESSIBLE.keys())
def test_values_that_the_ini_cannot_express_are_refused(
    fields: dict[str, Any], message: str, locked: tuple[LockedModel, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        rendered(locked, **fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_models_dir_that_the_ini_cannot_express_is_refused(
    locked: tuple[LockedModel, ...],
) -> None:
    with pytest.raises(ConfigError, match=r"settings: llama_swap\.server\.models_dir is '/a#b'"):
        render_router_preset(locked, ServerSettings(models_dir="/a#b"))


def test_two_models_with_one_name_are_refused(locked: tuple[LockedModel, ...]) -> None:
    with pytest.raises(ConfigError, match="aliases is 'qwen3vl-4b'"):
        rendered(locked, aliases=("qwen3vl-4b",))
