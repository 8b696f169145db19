"""`smoke` leaves loaded what was loaded, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from ops.cli import main
from ops.commands.smoke import model_checks
from tests.conftest import ROOT
from tests.declaration.registry import REGISTRY
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Fault
from tests.ops.commands.smoke.smoke_runs import IDS, ask, report

A, B, C = IDS


@pytest.fixture(autouse=True)
def no_key_and_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    monkeypatch.setattr(model_checks, "_AFTER_STREAM_S", 0)


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
@pytest.mark.parametrize("before", [None, A, B])
@pytest.mark.parametrize("failing", ["nothing", f"{C} load"])
def test_it_leaves_loaded_what_was_loaded(
    front_end: str, before: str | None, failing: str
) -> None:
    failure = fakes.always(fakes.refuse(500, "exited prematurely"))
    with FakeEndpoint(front_end=front_end, loaded=before, faults={failing: failure}) as fake:
        result, warnings = ask(fake)
    assert result.front_end == front_end
    assert bool(result.failed) == (failing != "nothing")
    assert warnings == []
    assert fake.loaded == before


def test_a_model_that_was_loaded_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint(loaded=A) as fake:
        assert main(["smoke", "--url", fake.url]) == 0
        assert fake.swaps == [B, C, A]
        assert "loaded, 0.0" in capsys.readouterr().out
        document = report(capsys, fake.url, "--model", A)
    assert fake.swaps == [B, C, A]
    of_model = [each for each in document["checks"] if each["model"] == A]
    notes = {each["name"]: each["note"] for each in of_model if each["note"]}
    assert notes == {"text": "it was loaded already"}


def test_somebody_elses_model_stays_loaded() -> None:
    faults: dict[str, Fault] = {f"{C} too long": lambda request: request.loaded_by_another(A)}
    with FakeEndpoint(faults=faults) as fake:
        _, warnings = ask(fake, REGISTRY[1:], REGISTRY)
    assert warnings == []
    assert fake.loaded == A


def test_a_model_that_does_not_come_back_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    failing = fakes.always(fakes.refuse(500, "exited prematurely"))
    with FakeEndpoint(loaded=A, faults={f"{A} load": failing}) as fake:
        document = report(capsys, fake.url)
        fake.loaded = A
        assert main(["smoke", "--url", fake.url]) == 0
    warning = f"not left as it was found: {A} does not load again (status 500: exited prematurely)"
    assert document["ok"]
    assert document["warnings"] == [warning]
    assert capsys.readouterr().err == f"warning: {warning}\n"


def test_a_gateway_does_not_say_what_is_loaded() -> None:
    with FakeEndpoint(front_end="gateway") as fake:
        result, warnings = ask(fake)
    assert result.failed == ()
    assert result.front_end is None
    assert len(warnings) == 1
    assert "what is loaded cannot be seen" in warnings[0]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupt_leaves_loaded_what_was_loaded(number: signal.Signals, code: int) -> None:
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
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == code
    assert said == ""
    assert fake.loaded == B
