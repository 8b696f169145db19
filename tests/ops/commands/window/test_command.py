"""The options of `window`: durations, wrong usage, and missing programs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.fit.card import CoTenant
from ops.cli import main
from ops.report.durations import duration_s, span
from stacks.pool import Pool
from stacks.production import PRODUCTION
from tests.declaration.pools import POOLED, RTX3090, T4, TWO_CARDS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("24h", 86400), ("1s", 1)],
)
def test_duration_reads_hours_minutes_and_seconds(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds
    assert duration_s(span(seconds).replace(" ", "")) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "30 m", "5m2h", "0s", "25h", "3d"])
def test_what_is_no_span_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["window", "--for", text]) == 2
    error = capsys.readouterr().err
    assert "expected 1s to 24h, such as 90s, 30m or 1h30m" in error
    assert error.count("\n") == 1


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    assert main(["window", *arguments]) == code
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("sharing", "reason"),
    [
        (Alone(), "sharing is Alone() in stacks/production.py: nothing else uses the card"),
        (
            AtOnce(co_tenants=(CoTenant(name="immich-ml", peak_mib=2000),), slices=2),
            "immich-ml and the endpoint run on the card at the same time",
        ),
    ],
    ids=["alone", "at once"],
)
def test_no_window_where_nobody_lends_the_card(
    sharing: Alone | AtOnce,
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stacks.production.PRODUCTION", replace(PRODUCTION, sharing=sharing))
    for arguments in ((), ("--", "true")):
        assert reason in fails(capsys, *arguments)


def test_command_not_on_path_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}")
    line = fails(capsys, "--", "bench-it", "--fast")
    assert "bench-it is not a program on PATH" in line
    assert "nothing was changed" in line


@pytest.mark.parametrize("arguments", [("--restore", "ls"), ("--restore", "--status")])
def test_command_restore_and_status_exclude_each_other(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "exclude each other" in fails(capsys, *arguments, code=2)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["window", "--help"]) == 0
    assert (
        "Example: python -m ops window --for 30m -- python -m ops smoke" in capsys.readouterr().out
    )


FACES = GpuTenant(namespace="photos", name="faces")
SECOND, THIRD = POOLED.pools
LENDING = replace(SECOND, sharing=ByWindow(tenants=(FACES,)))


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def declare(*pools: Pool, **changes: Any) -> None:
        settings = replace(POOLED, pools=pools, **changes)
        monkeypatch.setattr("stacks.production.PRODUCTION", settings)

    return declare


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command opens or restores, in place of a cluster."""
    calls: list[dict[str, Any]] = []

    def run(_api: object, sharing: ByWindow, **arguments: Any) -> int:
        calls.append({"tenants": [str(it) for it in sharing.tenants], **arguments})
        return 0

    monkeypatch.setattr("ops.cluster.environment.check_cluster", lambda: None)
    monkeypatch.setattr("ops.cluster.api.KubeApi", lambda _target: nullcontext())
    monkeypatch.setattr("ops.commands.window.run.run", run)
    monkeypatch.setattr("ops.commands.window.run.restore_only", run)
    return calls


def test_the_only_pool_with_tenants_needs_no_name(
    declare: Callable[..., None], opened: list[dict[str, Any]]
) -> None:
    declare(LENDING, THIRD, sharing=Alone())
    assert main(["window", "--", "true"]) == 0
    (call,) = opened
    assert (call["tenants"], call["namespace"]) == (["photos/faces"], "llama-cpp-rtx3090")
    assert call["pool"] == RTX3090
    assert call["restore_command"] == "python -m ops window --restore"


def test_of_several_pools_with_tenants_one_is_named(
    declare: Callable[..., None],
    opened: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(LENDING, THIRD)
    for arguments in (("--", "true"), ("--restore",), ("--status",)):
        text = fails(capsys, *arguments, code=2)
        assert "several pools have tenants: t4, rtx3090. Name one with --pool" in text
    assert opened == []
    assert main(["window", "--pool", RTX3090, "--restore"]) == 0
    assert main(["window", "--pool", T4, "--", "true"]) == 0
    second, first = opened
    assert second["namespace"] == "llama-cpp-rtx3090"
    assert second["restore_command"] == "python -m ops window --restore --pool rtx3090"
    assert (first["namespace"], first["tenants"]) == (
        "llama-cpp",
        ["immich/immich-machine-learning"],
    )


def test_a_pool_without_tenants_is_refused_by_its_name(
    declare: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    declare(SECOND, THIRD)
    text = fails(capsys, "--pool", TWO_CARDS)
    assert text.startswith("error: pool 'two-cards': sharing is Alone() in stacks/production.py")
    assert "expected one of t4, rtx3090, two-cards" in fails(capsys, "--pool", "a100")
    declare(SECOND, THIRD, sharing=Alone())
    assert "no pool has sharing=ByWindow(...)" in fails(capsys, "--", "true")
