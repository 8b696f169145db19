from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from in_pod.gateway.policy import PolicyError, check_litellm, read_policy
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.lock.locked import LockedModel
from tests.real.gateway.gateway import policy_of


@pytest.fixture
def text(locked: tuple[LockedModel, ...]) -> str:
    consumers = (Consumer(name="poster", namespace="poster", models=("qwen3vl-8b",)),)
    return policy_of(
        locked,
        consumers,
        endpoint_url="http://llama-swap.llama-cpp:8080",
        front_end="llama-swap",
        tenants=("immich/immich-machine-learning",),
        allowed_origins=("https://photos.example",),
        internal_ranges=("203.0.113.0/24",),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


def test_the_rendered_policy_is_read(text: str, path: Path) -> None:
    path.write_text(text)
    policy = read_policy(path)
    assert policy.consumers["poster"].models == ("qwen3vl-8b",)
    assert policy.allowed_origins == ("https://photos.example",)
    assert policy.pictures.internal_ranges == ("203.0.113.0/24",)
    (pool,) = policy.pools.values()
    assert pool.card.tenants == ("immich/immich-machine-learning",)
    assert pool.vram_mib.keys() == policy.models.keys()
    assert all(it.homes == (pool.name,) for it in policy.models.values())
    assert policy.model_id("qwen3vl-8b") == "qwen3vl-8b"
    assert policy.model_id("nope") is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"pixels"', '"pixel"'),
        lambda text: text.replace('"models"', '"model"'),
        lambda text: json.dumps([json.loads(text)]),
        lambda text: "",
        lambda text: "null",
        lambda text: "\xff",
    ],
    ids=range(8),
)
def test_a_damaged_policy_is_one_line(text: str, path: Path, edit: Callable[[str], str]) -> None:
    path.write_text(edit(text), encoding="latin-1")
    with pytest.raises(PolicyError) as refused:
        read_policy(path)
    assert str(refused.value).startswith(f"{path} is not a policy of this gateway (")
    assert "\n" not in str(refused.value)


def test_a_missing_policy_is_one_line(path: Path) -> None:
    with pytest.raises(PolicyError, match="FileNotFoundError"):
        read_policy(path)


@pytest.mark.parametrize("running", ["1.0.0", "1.108.7", "1.999.0rc1"])
def test_a_release_of_the_same_major_version_passes(text: str, path: Path, running: str) -> None:
    path.write_text(text)
    check_litellm(read_policy(path), running)


@pytest.mark.parametrize("running", ["0.9", "2.0.0", "10.1.0", ""])
def test_another_major_version_is_refused(text: str, path: Path, running: str) -> None:
    path.write_text(text)
    with pytest.raises(PolicyError, match=r"expected 1\.108\.7 or another release"):
        check_litellm(read_policy(path), running)
