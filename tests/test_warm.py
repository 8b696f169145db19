"""The warm program: waits for exactly the plan's files, reads what fits, and never fails a pod."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from in_pod import download, warm
from llama_swap_config.lock import LockedModel
from llama_swap_config.warm_plan import render_warm_plan, warm_memory_mib
from tests.volume import Source

MIB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 9 * MIB + 5, MIB)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def plan_path(source: Source, tmp_path: Path) -> Path:
    path = tmp_path / "warm-plan.json"
    files = [
        {"name": name, "sha256": file.sha256, "size_bytes": file.path.stat().st_size}
        for (_, name), file in source.files.items()
    ]
    path.write_text(json.dumps({"version": 1, "models": [{"id": "m", "files": files}]}))
    return path


def publish(source: Source, models: Path) -> None:
    (models / "blobs").mkdir(parents=True, exist_ok=True)
    for file in source.files.values():
        blob = models / "blobs" / file.sha256
        blob.write_bytes(file.path.read_bytes())
        with blob.open("rb") as content:
            os.fsync(content.fileno())
            os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    download.publish(models, download.read_plan(source.plan_path))


def run(
    plan: Path, models: Path, capsys: pytest.CaptureFixture[str], wait_s: float = 0
) -> tuple[dict[str, Any], str]:
    """Run the program; it never fails. Its report, and what it said before."""
    arguments = ["--plan", str(plan), "--models", str(models), "--wait-s", str(wait_s)]
    assert warm.main(arguments) == 0
    *said, report = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(report)
    return found, "\n".join(said)


def test_a_cold_model_becomes_resident_and_a_resident_one_is_not_read(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    report, _ = run(plan_path, models, capsys)
    (model,) = report["models"]
    assert model["resident_percent"] == 100.0
    assert model["read_bytes"] > 0
    assert model["mb_per_s"] > 0
    report, _ = run(plan_path, models, capsys)
    (model,) = report["models"]
    assert (model["read_bytes"], model["resident_percent"], model["skipped"]) == (0, 100.0, "")


def test_it_waits_for_the_download_and_says_for_what(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm, "POLL_S", 0.05)
    (models / "blobs").mkdir(parents=True)
    partial = models / "blobs" / f"{source.sha256('model.gguf')}.partial"
    partial.write_bytes(b"x" * 3 * MIB)
    os.sync()
    later = threading.Timer(0.5, publish, (source, models))
    later.start()
    report, said = run(plan_path, models, capsys, wait_s=30)
    later.join()
    assert 0.4 < report["waited_s"] < 20
    assert "waiting for m/model.gguf (33 % of 9.0 MiB), m/mmproj.gguf (missing)" in said
    assert report["models"][0]["resident_percent"] == 100.0


def test_the_wait_is_bounded_and_the_rest_is_warmed(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    document = json.loads(plan_path.read_text())
    document["models"].insert(0, {**document["models"][0], "id": "absent"})
    plan_path.write_text(json.dumps(document))
    started = time.monotonic()
    report, said = run(plan_path, models, capsys, wait_s=0.2)
    assert time.monotonic() - started < 10
    assert "not waiting any longer" in said
    assert "there, not linked yet" in said
    assert [each["skipped"] for each in report["models"]] == ["not published", ""]


def test_another_version_of_a_model_is_not_what_it_waits_for(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    plan_path.write_text(plan_path.read_text().replace(source.sha256("mmproj.gguf"), "0" * 64))
    report, said = run(plan_path, models, capsys)
    assert "m/mmproj.gguf (missing)" in said
    assert report["models"][0]["skipped"] == "not published"


def test_what_does_not_fit_is_left_out_and_what_is_smaller_still_comes(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(source, models)
    document = json.loads(plan_path.read_text())
    large, small = document["models"][0]["files"]
    document["models"] = [{"id": "m", "files": [large]}, {"id": "m", "files": [small]}]
    plan_path.write_text(json.dumps(document))
    monkeypatch.setattr(warm, "budget_bytes", lambda: 4 * MIB)
    report, _ = run(plan_path, models, capsys)
    assert "9.0 MiB do not fit into 4.0 MiB of memory" in report["models"][0]["skipped"]
    assert report["models"][0]["read_bytes"] == 0
    assert report["models"][1]["resident_percent"] == 100.0


def test_the_budget_is_a_share_of_what_the_node_has() -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < warm.budget_bytes() < 0.9 * memory


def test_residency_is_unknown_where_the_kernel_would_not_say_the_truth(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(source, models)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "access", lambda *_: False)
    report, _ = run(plan_path, models, capsys)
    (model,) = report["models"]
    assert model["resident_percent"] is None
    assert model["read_bytes"] == source.size_bytes


@pytest.mark.parametrize("content", ["", "{}", '{"models": [{"id": "m"}]}'])
def test_a_broken_plan_does_not_keep_the_pod_from_starting(
    content: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    assert "error" in run(path, models, capsys)[0]
    path.unlink()
    assert "FileNotFoundError" in run(path, models, capsys)[0]["error"]


def test_the_plan_of_the_registry_is_readable_and_its_largest_model_fits(
    locked: tuple[LockedModel, ...], tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(render_warm_plan(locked))
    plan = warm.read_plan(path)
    assert [model.id for model in plan] == [each.model.id for each in locked]
    largest = max(model.size_bytes for model in plan)
    assert largest < warm.SHARE * warm_memory_mib(locked) * MIB
    assert warm_memory_mib(()) < 1024
