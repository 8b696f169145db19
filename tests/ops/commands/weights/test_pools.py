"""`ops weights` where pools share a volume, and others have their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from in_pod.download.plan import parse_plan
from llama_swap_config import registry
from ops.cli import main
from ops.commands.serve import local_store
from ops.commands.serve.local_store import LocalStore
from stacks import production
from tests.declaration.pools import HOUSED, POOLED, RTX3090, T4, TWO_CARDS


@pytest.fixture(autouse=True)
def _pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTRY", HOUSED)
    monkeypatch.setattr(production, "PRODUCTION", POOLED)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A volume with the files of all models, as before there were pools."""
    return local_store.fill_with_tiny_models(tmp_path / "state", say=print)


def weights(store: LocalStore, command: str, *options: str) -> int:
    return main(["weights", command, str(store.volume), "--lock", str(store.lock_path), *options])


def status(
    store: LocalStore, pool: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = weights(store, "status", "--pool", pool, "--json")
    return code, json.loads(capsys.readouterr().out)


def models(found: dict[str, Any]) -> set[str]:
    return {model["id"] for model in found["models"]}


def test_volumes_lists_who_uses_what_of_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "volumes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(it["pool"], it["volume_of"], it["place"], it["models"]) for it in found] == [
        (T4, T4, "192.168.1.127:/srv/nfs-ssd/llamacpp", ["qwen3vl-8b", "qwen3vl-4b"]),
        (RTX3090, T4, "192.168.1.127:/srv/nfs-ssd/llamacpp", ["qwen3vl-8b"]),
        (TWO_CARDS, TWO_CARDS, "/srv/models on k8s-node3", ["minicpm-v-4-5", "qwen3vl-4b"]),
    ]
    assert found[0]["size_bytes"] > found[1]["size_bytes"] > 2**30


def test_volumes_of_a_pool_that_shares_says_whose_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["weights", "volumes", "--pool", RTX3090]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(RTX3090)]
    assert "that of t4: 192.168.1.127:/srv/nfs-ssd/llamacpp" in row


@pytest.mark.parametrize("command", ["status", "pull", "prune"])
def test_of_several_volumes_somebody_has_to_say_which(
    command: str, store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(store.volume.rglob("*"))
    assert weights(store, command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: --pool is not set; expected the pool whose volume it is, one of t4, two-cards."
    )
    assert sorted(store.volume.rglob("*")) == before


def test_without_a_volume_of_its_own_no_pool_has_to_be_named(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    second, third = POOLED.pools
    sharing = replace(POOLED, pools=(second, replace(third, storage=None, storage_size_gib=None)))
    monkeypatch.setattr(production, "PRODUCTION", sharing)
    assert weights(store, "status") == 0
    assert "unused: " not in capsys.readouterr().out


def test_status_shows_the_models_that_the_pool_uses(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    code, first = status(store, T4, capsys)
    assert (code, first["pool"], first["volume_of"]) == (0, T4, T4)
    assert models(first) == {"qwen3vl-8b", "qwen3vl-4b"}

    code, sharing = status(store, RTX3090, capsys)
    assert (code, sharing["pool"], sharing["volume_of"]) == (0, RTX3090, T4)
    assert models(sharing) == {file["model"] for file in sharing["files"]} == {"qwen3vl-8b"}
    assert sharing["unreferenced"] == first["unreferenced"] != []

    assert weights(store, "status", "--pool", RTX3090) == 0
    assert "pool rtx3090 uses the volume of pool t4\n" in capsys.readouterr().out


def test_a_file_of_another_pool_alone_makes_no_pool_incomplete(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.volume / "qwen3vl-4b").unlink()
    assert status(store, RTX3090, capsys)[0] == 0
    assert status(store, T4, capsys)[0] == 2


@pytest.mark.parametrize("pool", [T4, RTX3090])
def test_prune_keeps_what_any_pool_uses_of_the_volume(
    pool: str, store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights(store, "prune", "--pool", pool, "--grace-h", "0") == 0
    code, found = status(store, T4, capsys)
    assert (code, found["unreferenced"]) == (0, [])
    assert not (store.volume / "minicpm-v-4-5").exists()


def test_pull_of_a_pool_that_shares_fills_the_whole_volume(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights(store, "pull", "--pool", RTX3090) == 0
    said = capsys.readouterr().out
    assert said.startswith("pool rtx3090 uses the volume of pool t4\n")
    assert "all 4 files of 2 models are complete" in said


def test_download_and_upkeep_have_the_models_of_all_pools_that_share(
    synth: Callable[..., dict[str, Any]],
) -> None:
    """The Job verifies and prunes by this plan: what it lacks, it would remove."""
    resources = synth(HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu)["resource"]
    plans = {
        (it["metadata"]["namespace"], it["metadata"]["name"]): it["data"]["download-plan.json"]
        for it in resources["kubernetes_config_map_v1"].values()
        if "download-plan.json" in it["data"]
    }
    pods = [(job, job["spec"]) for job in resources["kubernetes_job_v1"].values()]
    pods += [
        (job, job["spec"]["job_template"]["spec"])
        for job in resources["kubernetes_cron_job_v1"].values()
    ]
    mounted = [
        (job["metadata"]["namespace"], set(parse_plan(plans[key], "plan").models))
        for job, spec in pods
        for volume in spec["template"]["spec"]["volume"]
        if (key := (job["metadata"]["namespace"], volume.get("config_map", {}).get("name")))
        in plans
    ]
    shared, own = {"qwen3vl-8b", "qwen3vl-4b"}, {"minicpm-v-4-5", "qwen3vl-4b"}
    assert mounted == [("llama-cpp", shared), ("llama-cpp-two-cards", own)] * 2
