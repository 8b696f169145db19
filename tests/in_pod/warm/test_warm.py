"""The warm program waits for the plan's files, reads those that fit, and never fails a pod."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from in_pod.download import contract as download
from in_pod.download import plan as download_plan
from in_pod.download import volume as download_volume
from in_pod.warm import contract, reading, waiting, warming
from in_pod.warm.__main__ import main
from in_pod.warm.contract import SHARE
from in_pod.warm.memory import limit_bytes
from in_pod.warm.plan import read_plan
from in_pod.warm.reading import cold_ranges
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.plans.warm import render_warm_plan, warm_memory_mib
from tests.conftest import ROOT
from tests.in_pod.download.planted import inodes, plant
from tests.in_pod.download.volume import Source

MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("signals")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 9 * MIB + 5, MIB)


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
    download_volume.publish(models, download_plan.read_plan(source.plan_path), say=print)


def publish_cold(source: Source, models: Path) -> None:
    publish(source, models)
    if not cold_ranges((models / "m" / "model.gguf").resolve()):
        pytest.skip("this file system keeps its files in memory")


def run(
    plan: Path, models: Path, capsys: pytest.CaptureFixture[str], wait_s: float = 0
) -> tuple[dict[str, Any], str]:
    """Run the program, which never fails; returns its report and the lines before it."""
    arguments = ["--plan", str(plan), "--models", str(models), "--wait-s", str(wait_s)]
    assert main(arguments) == 0
    *lines, report = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(report)
    return found, "\n".join(lines)


def test_a_cold_model_is_read_and_a_resident_one_is_not(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_cold(source, models)
    report, _ = run(plan_path, models, capsys)
    (model,) = report["models"]
    assert model["resident_percent"] > 90
    assert model["read_bytes"] > 0
    assert model["mb_per_s"] > 0
    # The kernel may take a page back at any time, but not each time.
    reports = [run(plan_path, models, capsys)[0]["models"][0] for _ in range(5)]
    assert (0, 100.0, "") in [
        (model["read_bytes"], model["resident_percent"], model["skipped"]) for model in reports
    ]


def test_foreign_files_on_the_volume_do_not_matter(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    used = (models / "m").resolve()
    planted = plant(models, models / "blobs", models / "sets", used)
    os.mkfifo(models / ".lease")
    report, lines = run(plan_path, models, capsys)
    assert report["models"][0]["skipped"] == ""
    assert "not published" not in lines
    assert inodes(*planted) == planted


def test_a_link_that_leads_to_itself_is_not_published(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    link = (models / "m").resolve() / "model.gguf"
    link.unlink()
    link.symlink_to("model.gguf")
    report, lines = run(plan_path, models, capsys)
    assert report["models"][0]["skipped"] == "not published"
    assert "m/model.gguf (complete, not published yet)" in lines


def test_it_waits_for_the_download_and_prints_its_progress(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.05)
    (models / "blobs").mkdir(parents=True)
    partial = models / "blobs" / f"{source.sha256('model.gguf')}.partial"
    with partial.open("wb") as content:
        content.write(b"x" * 3 * MIB)
        content.flush()
        os.fsync(content.fileno())
    later = threading.Timer(0.5, publish, (source, models))
    later.start()
    report, output = run(plan_path, models, capsys, wait_s=30)
    later.join()
    assert 0.4 < report["waited_s"] < 20
    assert "waiting for m/model.gguf (33 % of 9.0 MiB), m/mmproj.gguf (missing)" in output
    assert report["models"][0]["resident_percent"] > 90


def test_after_wait_s_it_warms_the_published_models(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    document = json.loads(plan_path.read_text())
    document["models"].insert(0, {**document["models"][0], "id": "absent"})
    plan_path.write_text(json.dumps(document))
    started = time.monotonic()
    report, output = run(plan_path, models, capsys, wait_s=0.2)
    assert time.monotonic() - started < 10
    assert "continuing without absent/model.gguf (complete, not published yet)" in output
    assert [model["skipped"] for model in report["models"]] == ["not published", ""]


def test_another_version_of_a_model_counts_as_missing(
    source: Source, models: Path, plan_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, models)
    plan_path.write_text(plan_path.read_text().replace(source.sha256("mmproj.gguf"), "0" * 64))
    report, output = run(plan_path, models, capsys)
    assert "m/mmproj.gguf (missing)" in output
    assert report["models"][0]["skipped"] == "not published"


def test_a_model_that_does_not_fit_is_skipped_and_a_smaller_one_is_read(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_cold(source, models)
    document = json.loads(plan_path.read_text())
    large, small = document["models"][0]["files"]
    document["models"] = [{"id": "m", "files": [large]}, {"id": "m", "files": [small]}]
    plan_path.write_text(json.dumps(document))
    monkeypatch.setattr(warming, "SHARE", 1)
    monkeypatch.setattr(warming, "limit_bytes", lambda: 4 * MIB)
    report, _ = run(plan_path, models, capsys)
    assert "9.0 MiB do not fit 4.0 MiB of memory" in report["models"][0]["skipped"]
    assert report["models"][0]["read_bytes"] == 0
    assert report["models"][1]["resident_percent"] > 90


@pytest.mark.parametrize(
    ("path", "text", "limit"),
    [
        ("memory.max", "1073741824\n", 1 << 30),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "1073741824\n", 1 << 30),
        ("other", "", None),
    ],
)
def test_limit_bytes_reads_the_pods_cgroup(
    path: str, text: str, limit: int | None, tmp_path: Path
) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert limit_bytes(tmp_path) == limit


def test_resident_models_count_against_the_node_and_not_against_the_pod(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node has 12 MiB: a resident model of 10 MiB leaves no room for another one."""
    publish(source, models)
    document = json.loads(plan_path.read_text())
    document["models"] = [document["models"][0], {**document["models"][0], "id": "n"}]
    plan_path.write_text(json.dumps(document))
    (models / "n").symlink_to((models / "m").readlink())
    # The first model's two files are resident, 4 MiB of the second's first one are not.
    cold: list[list[tuple[int, int]]] = [[], [], [(0, 4 * MIB)], []]
    monkeypatch.setattr(warming, "cold_ranges", lambda _path: cold.pop(0))
    monkeypatch.setattr(warming, "SHARE", 1)
    monkeypatch.setattr(warming, "limit_bytes", lambda: 100 * MIB)
    monkeypatch.setattr(warming, "available_bytes", lambda: 12 * MIB)
    report, _ = run(plan_path, models, capsys)
    assert [model["read_bytes"] for model in report["models"]] == [0, 0]
    assert "do not fit" in report["models"][1]["skipped"]


def test_every_page_is_read_twice(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel evicts pages that were read once first."""
    publish(source, models)
    read: list[int] = []
    real = os.preadv

    def counted(fd: int, buffers: list[memoryview], offset: int) -> int:
        read.append(real(fd, buffers, offset))
        return read[-1]

    monkeypatch.setattr(warming, "cold_ranges", lambda path: [(0, path.stat().st_size)])
    monkeypatch.setattr(reading, "READ_BYTES", 16 * MIB)
    monkeypatch.setattr(os, "preadv", counted)
    run(plan_path, models, capsys)
    assert sum(read) == 2 * source.size_bytes


def test_a_model_that_cannot_be_read_does_not_stop_the_others(
    source: Source,
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(source, models)
    document = json.loads(plan_path.read_text())
    document["models"] *= 2
    plan_path.write_text(json.dumps(document))
    real, failures = cold_ranges, [OSError(errno.ESTALE, "Stale file handle")]

    def fail_once(path: Path) -> list[tuple[int, int]]:
        if failures:
            raise failures.pop()
        return real(path)

    monkeypatch.setattr(warming, "cold_ranges", fail_once)
    report, _ = run(plan_path, models, capsys)
    assert [model["skipped"] for model in report["models"]] == ["Stale file handle", ""]


def test_it_stops_waiting_if_no_download_is_running(
    models: Path,
    plan_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.02)
    monkeypatch.setattr(waiting, "STALL_S", 0.3)
    models.mkdir()
    beats = 0

    def beat() -> bytes:
        nonlocal beats
        beats += beats < 20
        return str(beats).encode()

    monkeypatch.setattr(waiting, "heartbeat", lambda _models: beat())
    report, output = run(plan_path, models, capsys, wait_s=60)
    assert beats == 20
    assert 0.3 < report["waited_s"] + 0.1 < 20
    assert "no download is running; continuing without m/model.gguf (missing)" in output


def test_sigterm_ends_the_wait_at_once(models: Path, plan_path: Path) -> None:
    models.mkdir()
    words = ["--plan", str(plan_path), "--models", str(models), "--wait-s", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "in_pod.warm", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert "waiting for m/model.gguf" in process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_residency_is_unknown_for_other_users(
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


def test_the_registrys_plan_fits_its_memory_limit(
    locked: tuple[LockedModel, ...], tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(render_warm_plan(locked))
    plan = read_plan(path)
    assert [model.id for model in plan] == [locked_model.model.id for locked_model in locked]
    largest = max(model.size_bytes for model in plan)
    assert largest < SHARE * warm_memory_mib(locked) * MIB
    assert warm_memory_mib(()) < 1024


def test_both_programs_use_the_same_names_on_the_volume() -> None:
    """Each is mounted without the other, so each has these names itself."""
    for name in ("BLOBS", "PARTIAL", "LEASE_FILE"):
        assert getattr(contract, name) == getattr(download, name)
