"""Which sources drift asks, and what it does where one does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cli import main
from ops.commands.drift.declared import Declared
from ops.commands.drift.difference import SOURCES
from ops.commands.drift.run import Ask, drift


@pytest.fixture
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PG_CONN_STR", "PGHOST", "KUBE_CONFIG_PATH", "KUBE_CTX", "LLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_named")
def test_drift_without_a_source_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift"]) == 1
    error = capsys.readouterr().err
    for way in ("set PG_CONN_STR", "set KUBE_CONFIG_PATH", "pass --volume DIR", "pass --url"):
        assert way in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--source", "moon"], "expected one of terraform, cluster, volume, server, gateway"),
        (["--json", "--markdown"], "cannot be combined with"),
    ],
)
def test_wrong_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_named")
def test_a_source_that_is_named_and_cannot_be_asked_is_unreachable(declared: Declared) -> None:
    result = drift(declared, Ask(sources=SOURCES), say=lambda _: None)
    reasons = {state.source: state.reason for state in result.unreachable}
    assert reasons["terraform"].startswith("PG_CONN_STR is not set")
    assert reasons["cluster"].startswith("KUBE_CONFIG_PATH is not set")
    assert reasons["server"].startswith("KUBE_CONFIG_PATH is not set")
    assert reasons["gateway"].startswith("KUBE_CONFIG_PATH is not set")
    assert reasons["volume"] == "pass --volume DIR, where the volume is mounted"


@pytest.mark.usefixtures("nothing_named")
def test_a_source_that_hangs_does_not_delay_the_others(
    declared: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    over = threading.Event()

    def hang(*_arguments: object) -> None:
        over.wait(30)

    monkeypatch.setattr("ops.commands.drift.volume.look", hang)
    ask = Ask(volume=tmp_path, url="http://127.0.0.1:1", timeout_s=3)
    try:
        result = drift(declared, ask, say=lambda _: None)
    finally:
        over.set()
    reasons = {state.source: state.reason for state in result.unreachable}
    assert reasons["volume"] == "no answer within 3 s"
    assert reasons["server"].startswith("cannot connect to http://127.0.0.1:1")
