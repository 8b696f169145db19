"""The rendered YAML of llama-swap, and golden files."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest
import yaml

from llama_swap_config.fit.residency import ONE_AT_A_TIME, residents_of
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings, render_llama_swap
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Sampling
from llama_swap_config.plans.download import render_download_plan
from tests.conftest import ROOT
from tests.llama_swap_config.fit.shapes import T4

GOLDEN = ROOT / "tests" / "golden"


def rendered(locked: tuple[LockedModel, ...], **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        render_llama_swap(locked, LlamaSwapSettings(**changes))
    )
    return document


def expanded(document: dict[str, Any], model_id: str) -> list[str]:
    """Expand a command's macros and split it, as llama-swap does."""
    cmd = document["models"][model_id]["cmd"]
    for name, text in reversed(document["macros"].items()):
        cmd = cmd.replace(f"${{{name}}}", text)
    return shlex.split(cmd.replace("${MODEL_ID}", model_id).replace("${PORT}", "5800"))


def changed(locked: tuple[LockedModel, ...], **fields: Any) -> tuple[LockedModel, ...]:
    first = locked[0]
    model = dataclasses.replace(first.model, **fields)
    return (dataclasses.replace(first, model=model), *locked[1:])


def value_of(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


@pytest.mark.parametrize("name", ["llama-swap.yaml", "download-plan.json"])
def test_the_rendered_files_equal_the_golden_files(
    name: str, locked: tuple[LockedModel, ...], update_golden: bool
) -> None:
    text = (
        render_llama_swap(locked, LlamaSwapSettings())
        if name == "llama-swap.yaml"
        else render_download_plan(locked)
    )
    if update_golden:
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def on_two_cards(locked: tuple[LockedModel, ...]) -> tuple[LockedModel, ...]:
    """Put a model on each of two cards, and the last over both."""
    cards = ((0,), (1,), (0, 1))
    return tuple(
        dataclasses.replace(it, model=dataclasses.replace(it.model, cards=on))
        for it, on in zip(locked, cards, strict=True)
    )


def test_models_on_two_cards_equal_the_golden_file(
    locked: tuple[LockedModel, ...], update_golden: bool
) -> None:
    models, golden = on_two_cards(locked), GOLDEN / "llama-swap-two-cards.yaml"
    residents = residents_of(models, ONE_AT_A_TIME, T4)
    text = render_llama_swap(models, LlamaSwapSettings(), residents)
    if update_golden:
        golden.write_text(text)
    assert text == golden.read_text()


def test_cards_are_not_rendered_for_a_device_of_this_machine(
    locked: tuple[LockedModel, ...],
) -> None:
    for device in (None, "none", "Vulkan0"):
        server = ServerSettings(device=device)
        text = render_llama_swap(on_two_cards(locked), LlamaSwapSettings(server=server))
        assert "CUDA" not in text


def test_a_models_own_variables_stand_beside_its_cards(locked: tuple[LockedModel, ...]) -> None:
    models = changed(on_two_cards(locked), env={"AAA": "1", "GGML_LOG": "2"})
    env = rendered(models)["models"]["qwen3vl-8b"]["env"]
    assert env == ["AAA=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0", "GGML_LOG=2"]


def test_rendering_is_byte_stable(locked: tuple[LockedModel, ...]) -> None:
    settings = LlamaSwapSettings()
    assert render_llama_swap(locked, settings) == render_llama_swap(locked, settings)


def test_every_model_listens_on_loopback_at_llama_swaps_port(
    locked: tuple[LockedModel, ...],
) -> None:
    document = rendered(locked)
    for model_id in document["models"]:
        words = expanded(document, model_id)
        assert value_of(words, "--host") == "127.0.0.1"
        assert value_of(words, "--port") == "5800"
        assert document["models"][model_id]["proxy"] == "http://127.0.0.1:${PORT}"


def test_the_flags_from_measurements_are_rendered(locked: tuple[LockedModel, ...]) -> None:
    words = expanded(rendered(locked), "qwen3vl-8b")
    assert words[3] == "/app/llama-server"
    for flag, value in {
        "--model": "model.gguf",
        "--mmproj": "mmproj.gguf",
        "--alias": "qwen3vl-8b",
        "--ctx-size": "3072",
        "--image-max-tokens": "1024",
        "-np": "1",
        "-ngl": "99",
        "-fa": "on",
        "-fit": "off",
        "--load-mode": "none",
        "--threads-http": "16",
        "--cache-ram": "512",
        "-ctk": "f16",
        "-ctv": "f16",
    }.items():
        assert value_of(words, flag) == value
    assert {"--metrics", "--no-ui", "--offline"} <= set(words)


def test_no_removed_flag_is_rendered(locked: tuple[LockedModel, ...]) -> None:
    text = render_llama_swap(locked, LlamaSwapSettings())
    for flag in ("--no-mmap", "--mlock", "--no-webui", "--api-key"):
        assert flag not in text


def test_a_text_model_has_no_projector_and_no_image_limit(
    locked: tuple[LockedModel, ...],
) -> None:
    words = expanded(
        rendered(changed(locked, projector=None, image_max_tokens=None)), "qwen3vl-8b"
    )
    assert "--mmproj" not in words
    assert "--image-max-tokens" not in words


def test_the_health_check_timeout_covers_a_cold_load(
    locked: tuple[LockedModel, ...],
) -> None:
    document = rendered(locked)
    largest = max(model.size_bytes for model in locked)
    assert document["healthCheckTimeout"] > 2 * largest / 125e6  # half of a 1 Gbit/s line
    assert document["globalTTL"] == 600
    assert document["logToStdout"] == "both"
    assert document["captureBuffer"] == 0


def test_the_stop_command_sends_two_signals(locked: tuple[LockedModel, ...]) -> None:
    document = rendered(locked)
    assert document["models"]["qwen3vl-8b"]["cmdStop"] == "${stop_twice}"
    shell, option, script = shlex.split(document["macros"]["stop_twice"])
    assert (shell, option) == ("sh", "-c")
    assert script.count("kill -TERM ${PID}") == 2


def test_api_keys_come_from_the_environment(
    locked: tuple[LockedModel, ...],
) -> None:
    assert "apiKeys" not in rendered(locked)
    document = rendered(locked, api_key_env=("KEY_GATEWAY", "KEY_OWNER"))
    assert document["apiKeys"] == ["${env.KEY_GATEWAY}", "${env.KEY_OWNER}"]


def test_all_fields_of_a_model_are_rendered(locked: tuple[LockedModel, ...]) -> None:
    document = rendered(
        changed(
            locked,
            aliases=("photos", "gpt-4o"),
            ttl_s=0,
            parallel_slots=2,
            kv_cache_type_k="q8_0",
            kv_cache_type_v="q8_0",
            image_min_tokens=256,
            sampling=Sampling(temperature=0.2, top_k=1000000, top_p=1),
            env={"OMP_WAIT_POLICY": "passive", "A": "b c"},
            extra_args=("--threads", "4", "--chat-template-kwargs", '{"a": "b c"}'),
        )
    )
    model = document["models"]["qwen3vl-8b"]
    words = expanded(document, "qwen3vl-8b")
    assert model["aliases"] == ["photos", "gpt-4o"]
    assert model["ttl"] == 0
    assert model["env"] == ["A=b c", "OMP_WAIT_POLICY=passive"]
    assert value_of(words, "-np") == "2"
    assert value_of(words, "-ctk") == value_of(words, "-ctv") == "q8_0"
    assert value_of(words, "--image-min-tokens") == "256"
    assert value_of(words, "--temp") == "0.2"
    assert value_of(words, "--top-k") == "1000000"
    assert value_of(words, "--top-p") == "1"
    assert value_of(words, "--chat-template-kwargs") == '{"a": "b c"}'


def test_binary_and_models_dir_are_settings(locked: tuple[LockedModel, ...]) -> None:
    server = ServerSettings(binary="/opt/my engine/llama-server", models_dir="/srv/models")
    words = expanded(rendered(locked, server=server), "qwen3vl-4b")
    assert words[:4] == ["env", "-C", "/srv/models/qwen3vl-4b", "/opt/my engine/llama-server"]


def test_a_models_files_have_relative_paths(
    locked: tuple[LockedModel, ...],
) -> None:
    """Paths through the model's link could be of two versions."""
    document = rendered(locked)
    for model_id in document["models"]:
        words = expanded(document, model_id)
        assert words[:3] == ["env", "-C", f"/models/{model_id}"]
        assert value_of(words, "--model") == "model.gguf"
        assert value_of(words, "--mmproj") == "mmproj.gguf"


def test_a_change_of_context_does_not_change_the_download_plan(
    locked: tuple[LockedModel, ...],
) -> None:
    assert render_download_plan(changed(locked, context=8192)) == render_download_plan(locked)
    assert render_download_plan(locked[::-1]) == render_download_plan(locked)
