"""Each check of the budget and its error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import Node, check_budget
from llama_swap_config.fit.card import Card, CoTenant
from llama_swap_config.fit.host import disk_bytes
from llama_swap_config.fit.residency import ONE_AT_A_TIME, ONE_RESIDENT, AsManyAsFit
from llama_swap_config.fit.vram import resident
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from llama_swap_config.lock.locked import LockedModel
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.llama_swap_config.fit.shapes import (
    MINICPM,
    QWEN3_8B,
    QWEN3VL_4B,
    QWEN3VL_8B,
    changed,
    text_model,
    with_header,
    with_projector,
)

Synth = Callable[..., dict[str, Any]]

SHARED = Card(
    product="Tesla-T4",
    floor_mib=1536,
    co_tenants=(
        CoTenant(name="frigate", peak_mib=2677),
        CoTenant(name="immich-ml", peak_mib=1964),
    ),
)
SMALL = Card(product="RTX-3050", usable_mib=6144)


def node(**changes: Any) -> Node:
    return replace(SETTINGS.node, **changes)


def test_the_registry_runs_in_production() -> None:
    models = (QWEN3VL_8B, MINICPM, QWEN3VL_4B)
    assert check_budget(models, ONE_AT_A_TIME, SETTINGS.node) == ONE_RESIDENT


REFUSED: dict[str, tuple[LockedModel, dict[str, Any], str]] = {
    "context": (
        changed(QWEN3VL_8B, context=65536),
        {},
        "model 'qwen3vl-8b': context is 65536; expected at most 60672: it needs up to 15589 "
        "MiB, 677 more than 14912 MiB of Tesla-T4. Lower it, or use KV cache q8_0 (11525 MiB), "
        "where a quantised cache is the last way out: on a T4 an 8B answered with 0.58 "
        "tokens/s instead of 33.",
    ),
    "context beside others": (
        changed(QWEN3VL_8B, context=32768),
        {"card": SHARED},
        "model 'qwen3vl-8b': context is 32768; expected at most 16896: it needs up to 10949 "
        "MiB, 2214 more than 8735 MiB (14912 of Tesla-T4 less frigate 2677, immich-ml 1964, floor "
        "1536). Lower it, or use projector Q8_0 with KV cache q8_0 (8525 MiB)",
    ),
    "projector": (
        changed(QWEN3VL_8B, context=17408),
        {"card": SHARED},
        "expected at most 16896: it needs up to 8774 MiB, 39 more than 8735 MiB (14912 of "
        "Tesla-T4 less frigate 2677, immich-ml 1964, floor 1536). Lower it, or use projector "
        "Q8_0 (8382 MiB) or KV cache q8_0 (7694 MiB)",
    ),
    "card too small": (
        MINICPM,
        {"card": replace(SMALL, usable_mib=4096)},
        "model 'minicpm-v-4-5': context is 3072; expected a model that fits: it needs 6349 "
        "MiB, 2253 more than 4096 MiB of RTX-3050. Choose a smaller quantisation or a larger card",
    ),
    "only with both": (
        QWEN3VL_8B,
        {"card": SMALL},
        "expected a model that fits: it needs 6744 MiB, 600 more than 6144 MiB of RTX-3050. "
        "Use projector Q8_0 with KV cache q4_0 (6053 MiB)",
    ),
    "engine too old": (
        QWEN3VL_8B,
        {"engine_build": 9000},
        "settings: engine_build is 9000; expected at least 10524. Pin a newer llama_swap_image "
        "and its engine_build.",
    ),
    "without flash attention for the vision tower, #16962": (
        QWEN3VL_8B,
        {"engine_build": 6934},
        "settings: engine_build is 6934; expected at least 10524",
    ),
    "endless question marks of MiniCPM, #18444": (
        MINICPM,
        {"engine_build": 7552},
        "settings: engine_build is 7552; expected at least 10524",
    ),
    "one build too old": (
        MINICPM,
        {"engine_build": 10523},
        "settings: engine_build is 10523; expected at least 10524",
    ),
    "a projector that every build refuses, #20899": (
        with_header(QWEN3VL_8B, architecture="qwen3moe"),
        {},
        "model 'qwen3vl-8b': architecture is 'qwen3moe with qwen3vl_merger'; expected another "
        "model: no build is known to serve it (llama.cpp #20899)",
    ),
    "never measured": (
        replace(QWEN3VL_8B, memory=()),
        {},
        "model 'qwen3vl-8b': memory is 'not in the lock'; expected what llama.cpp b10524 takes "
        "with -np 1 -ctk f16 -ctv f16 --image-max-tokens 1024 and 3072 tokens of context. Run "
        "`python -m ops lock`.",
    ),
    "measured with another build": (
        QWEN3VL_8B,
        {"engine_build": 11434},
        "memory is 'b10524 with -np 1 -ctk f16 -ctv f16 --image-max-tokens 1024'; expected what "
        "llama.cpp b11434 takes",
    ),
    "measured with another cache": (
        changed(QWEN3VL_8B, kv_cache_type_k="q8_0", kv_cache_type_v="q8_0"),
        {},
        "expected what llama.cpp b10524 takes with -np 1 -ctk q8_0 -ctv q8_0",
    ),
    "projector of another model": (
        with_projector(QWEN3VL_8B, output_width=2560),
        {},
        "model 'qwen3vl-8b': projector's output width is 2560; expected 4096, as in the weights. "
        "Lock the projector of the same model",
    ),
    "projector of another generation": (
        with_projector(QWEN3VL_8B, deepstack_layers=0),
        {},
        "projector's deepstack layers is 0; expected 3, as in the weights",
    ),
    "layers on the CPU": (
        QWEN3VL_8B,
        {"llama_swap": LlamaSwapSettings(server=ServerSettings(gpu_layers=36))},
        "model 'qwen3vl-8b': gpu_layers is 36; expected at least 37",
    ),
    "context above training": (
        changed(MINICPM, context=40961),
        {},
        "model 'minicpm-v-4-5': context is 40961; expected at most 40960: the model was "
        "trained for 40960 tokens a slot, and llama-server caps the context silently. Lower it.",
    ),
    "context of a slot above training": (
        changed(MINICPM, context=81922, parallel_slots=2),
        {},
        "expected at most 81920: the model was trained for 40960 tokens a slot",
    ),
    "quantised cache of an odd head": (
        with_header(
            changed(QWEN3VL_8B, kv_cache_type_k="q8_0", kv_cache_type_v="q8_0"), key_size=80
        ),
        {},
        "model 'qwen3vl-8b': kv_cache_type_k is 'q8_0'; expected f16 or bf16: 80 elements a "
        "key are not a multiple of 32. Choose one of them.",
    ),
    "cache in host memory": (
        changed(QWEN3VL_8B, extra_args=("--no-kv-offload",)),
        {},
        "extra_args is '--no-kv-offload'; expected the KV cache on the card. Remove it",
    ),
    "embedding without pooling": (
        text_model("x", QWEN3_8B, extra_args=("--embeddings",)),
        {},
        "model 'x': extra_args is '--embedding'; expected --embedding with --pooling",
    ),
    "volume": (
        QWEN3VL_8B,
        {"storage_size_gib": 11},
        "settings: storage_size_gib is 11; expected at least 12 (5.8 GiB of files, and 5.8 more "
        "while 'qwen3vl-8b' is replaced by a new version). Raise it in stacks/production.py",
    ),
    "memory": (
        QWEN3VL_8B,
        {"memory_limit_gib": 7},
        "settings: resources.memory_limit_gib is 7; expected at least 8 (5.8 GiB of pages while "
        "'qwen3vl-8b' loads, and for each of 1 models 512 MiB of cached prompts and 1024 MiB for "
        "the process). Raise it",
    ),
    "time to load": (
        QWEN3VL_8B,
        {"llama_swap": LlamaSwapSettings(health_check_timeout_s=60)},
        "settings: llama_swap.health_check_timeout_s is 60; expected at least 99 ('qwen3vl-8b' "
        "at 62.5 MB/s, half of a 1 Gbit/s line). Raise it",
    ),
}


@pytest.mark.parametrize(("locked", "changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_check_budget_refuses_a_model_that_does_not_run(
    locked: LockedModel, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_budget((locked,), ONE_AT_A_TIME, node(**changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_remedies_of_the_error_make_the_model_fit() -> None:
    card = node(card=SHARED)
    too_large = changed(QWEN3VL_8B, context=17408)
    with pytest.raises(ConfigError):
        check_budget((too_large,), ONE_AT_A_TIME, card)
    check_budget((changed(too_large, context=16896),), ONE_AT_A_TIME, card)
    quantised = changed(too_large, kv_cache_type_k="q8_0", kv_cache_type_v="q8_0")
    assert resident(quantised, card.machine).total_mib <= SHARED.free_mib


def test_the_router_has_no_limit_on_load_time() -> None:
    slow = LlamaSwapSettings(health_check_timeout_s=60)
    check_budget((QWEN3VL_8B,), ONE_AT_A_TIME, node(front_end="llama-server", llama_swap=slow))


def test_host_memory_grows_with_the_models_that_run_together() -> None:
    both = (QWEN3VL_8B, QWEN3VL_4B)
    check_budget(both, ONE_AT_A_TIME, node(memory_limit_gib=8))
    with pytest.raises(
        ConfigError, match=r"memory_limit_gib is 8; expected at least 9 .* of 2 models "
    ):
        check_budget(both, AsManyAsFit(), node(memory_limit_gib=8))


def test_each_card_may_load_its_largest_model_while_the_others_do() -> None:
    models = (QWEN3VL_8B, changed(MINICPM, cards=(1,)), changed(QWEN3VL_4B, cards=(1,)))
    pair = node(cards=2, memory_limit_gib=14)
    check_budget(models[::2], ONE_AT_A_TIME, pair)
    with pytest.raises(
        ConfigError,
        match=r"memory_limit_gib is 14; expected at least 15 \(11.5 GiB of pages while "
        "'qwen3vl-8b' and 'minicpm-v-4-5' load at once, and for each of 2 models",
    ):
        check_budget(models, ONE_AT_A_TIME, pair)
    slow = LlamaSwapSettings(health_check_timeout_s=120)
    with pytest.raises(ConfigError, match=r"health_check_timeout_s is 120; expected at least 197"):
        check_budget(models, ONE_AT_A_TIME, node(cards=2, memory_limit_gib=15, llama_swap=slow))


def test_disk_bytes_counts_each_file_once_and_the_largest_model_twice() -> None:
    twin = changed(QWEN3VL_8B, id="twin")
    assert disk_bytes((QWEN3VL_8B, twin)) == 2 * QWEN3VL_8B.size_bytes
    both = (QWEN3VL_8B, QWEN3VL_4B)
    assert disk_bytes(both) == 2 * QWEN3VL_8B.size_bytes + QWEN3VL_4B.size_bytes


BAD_CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown product": (
        {"product": "Tesla-P4"},
        "settings: gpu.product is 'Tesla-P4'; expected Tesla-T4, NVIDIA-L4, "
        "NVIDIA-GeForce-RTX-3090, or another product with usable_mib. Set gpu.usable_mib to "
        "memory.total less memory.reserved of `nvidia-smi --query-gpu=memory.total,"
        "memory.reserved --format=csv` on the GPU node.",
    ),
    "no memory": ({"usable_mib": 0}, "gpu.usable_mib is 0; expected a whole number of at least 1"),
    "negative floor": ({"floor_mib": -5}, "gpu.floor_mib is -5"),
    "tenant without a peak": (
        {"co_tenants": (CoTenant(name="immich-ml", peak_mib=0),)},
        "settings: sharing.co_tenants 'immich-ml' peak_mib is 0",
    ),
    "tenant twice": (
        {"co_tenants": (CoTenant(name="a", peak_mib=1), CoTenant(name="a", peak_mib=2))},
        "sharing.co_tenants is 'a'; expected unique names",
    ),
    "nothing left": (
        {"co_tenants": (CoTenant(name="immich-ml", peak_mib=14912),)},
        "sharing.co_tenants is '0 MiB (14912 of Tesla-T4 less immich-ml 14912)'; expected co-ten",
    ),
}


@pytest.mark.parametrize(("fields", "message"), BAD_CARDS.values(), ids=BAD_CARDS.keys())
def test_card_refuses_bad_values(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Card(**{"product": "Tesla-T4"} | fields)


def test_free_mib_of_known_and_unknown_products() -> None:
    assert Card(product="L4", usable_mib=22_500).free_mib == 22_500
    assert Card(product="Tesla-T4").free_mib == 14912
    # As the label is spelled where the device plugin shares the card.
    assert Card(product="Tesla-T4-SHARED").free_mib == 14912
    assert SHARED.free_mib == 8735


def test_the_stack_refuses_a_context_that_does_not_fit(synth: Synth) -> None:
    models = tuple(
        replace(model, context=65536) if model.id == "qwen3vl-8b" else model for model in REGISTRY
    )
    with pytest.raises(ConfigError, match=r"^model 'qwen3vl-8b': context is 65536; expected at"):
        synth(models=models)


def test_the_stack_refuses_a_volume_that_is_too_small(synth: Synth) -> None:
    with pytest.raises(ConfigError, match=r"storage_size_gib is 20; expected at least 21"):
        synth(storage_size_gib=20)


def test_server_settings_refuse_a_prompt_cache_without_a_limit() -> None:
    with pytest.raises(
        ConfigError, match=r"llama_swap\.server\.cache_ram_mib is -1; expected a w"
    ):
        ServerSettings(cache_ram_mib=-1)
