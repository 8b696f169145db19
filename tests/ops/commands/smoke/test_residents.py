"""`smoke` restores the models that were loaded, whatever happens in between."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from ops.cli import main
from tests.conftest import ROOT
from tests.declaration.registry import REGISTRY
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Fault
from tests.ops.commands.smoke.smoke_runs import IDS, ask, report

A, B, C = IDS


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
@pytest.mark.parametrize("before", [None, A, B])
@pytest.mark.parametrize("failing", ["nothing", f"{C} load"])
def test_smoke_restores_the_loaded_model(front_end: str, before: str | None, failing: str) -> None:
    failure = fakes.always(fakes.refuse(500, "exited prematurely"))
    with FakeEndpoint(front_end=front_end, loaded=before, faults={failing: failure}) as fake:
        result, warnings = ask(fake)
    assert result.front_end == front_end
    assert bool(result.failed) == (failing != "nothing")
    assert warnings == []
    assert fake.loaded == before


def test_report_marks_a_model_that_was_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint(loaded=A) as fake:
        assert main(["smoke", "--url", fake.url]) == 0
        assert fake.swaps == [B, C, A]
        assert "loaded, 0.0" in capsys.readouterr().out
        document = report(capsys, fake.url, "--model", A)
    assert fake.swaps == [B, C, A]
    checks = [check for check in document["checks"] if check["model"] == A]
    notes = {check["name"]: check["note"] for check in checks if check["note"]}
    assert notes == {"text": "already loaded", "device": "CUDA0"}


def test_model_loaded_by_somebody_else_stays() -> None:
    faults: dict[str, Fault] = {f"{C} too long": lambda request: request.loaded_by_another(A)}
    with FakeEndpoint(faults=faults) as fake:
        _, warnings = ask(fake, REGISTRY[1:], REGISTRY)
    assert warnings == []
    assert fake.loaded == A


def test_failed_restore_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    failing = fakes.always(fakes.refuse(500, "exited prematurely"))
    with FakeEndpoint(loaded=A, faults={f"{A} load": failing}) as fake:
        document = report(capsys, fake.url)
        fake.loaded = A
        assert main(["smoke", "--url", fake.url]) == 0
    warning = (
        f"the loaded models were not restored: {A} did not reload (status 500: exited prematurely)"
    )
    assert document["ok"]
    assert document["warnings"] == [warning]
    assert capsys.readouterr().err == f"warning: {warning}\n"


def test_gateway_gets_a_warning_that_nothing_was_restored() -> None:
    with FakeEndpoint(front_end="gateway") as fake:
        result, warnings = ask(fake)
    assert result.failed == ()
    assert result.front_end is None
    assert len(warnings) == 1
    assert "cannot tell which models are loaded" in warnings[0]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_interrupted_smoke_restores_the_loaded_model(number: signal.Signals, code: int) -> None:
    with FakeEndpoint(loaded=B, faults={f"{C} schema": fakes.hang}) as fake:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", "smoke", "--url", fake.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            deadline = time.monotonic() + 20
            while f"{C} schema" not in fake.asked and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(number)
            output, _ = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == code
    assert output == ""
    assert fake.loaded == B
