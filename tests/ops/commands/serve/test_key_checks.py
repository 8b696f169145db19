"""A front end on this machine that does not guard its models is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.commands.serve.key_checks import check_keys
from ops.commands.serve.served_keys import ServedKey
from ops.endpoint.client import CHAT
from ops.errors import OpsError
from tests.fakes.endpoint import FakeEndpoint, Fault, Reply, Request, always, refuse, reset

KEY = ServedKey(variable="KEY_GATEWAY", file=None)
LOG = Path("front-end.log")


@pytest.fixture(autouse=True)
def key_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "right")


def any_key(request: Request) -> Reply:
    return refuse(404 if request.headers["Authorization"] else 401, "x")


@pytest.mark.parametrize(("key", "asked"), [(KEY, "right"), (None, "")])
def test_a_front_end_that_does_as_declared(key: ServedKey | None, asked: str) -> None:
    with FakeEndpoint(key=asked) as fake:
        check_keys(fake.url, key, log=LOG)
        assert fake.swaps == []


FAULTS: dict[str, tuple[ServedKey | None, str, dict[str, Fault], str]] = {
    "no key is asked for": (KEY, "", {}, "asks for no key; expected that of KEY_GATEWAY"),
    "a key is asked for": (None, "other", {}, "asks for a key; expected none"),
    "another key": (KEY, "other", {}, "refuses the key of KEY_GATEWAY"),
    "any key": (KEY, "right", {CHAT: any_key}, "accepts a wrong key"),
    "questions are open": (
        KEY,
        "right",
        {CHAT: always(refuse(404, "no router"))},
        "GET /v1/models asks for a key, and POST /v1/chat/completions does not",
    ),
    "the list is open": (
        KEY,
        "right",
        {"/v1/models": always(Reply(body="{}"))},
        "POST /v1/chat/completions asks for a key, and GET /v1/models does not",
    ),
    "an error": (KEY, "right", {CHAT: always(refuse(500, "x"))}, "cannot tell whether the key"),
    "no answer": (KEY, "right", {CHAT: reset}, "the connection broke"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_not_guarded_is_one_line(name: str) -> None:
    key, asked, faults, message = FAULTS[name]
    with (
        FakeEndpoint(key=asked, faults=faults) as fake,
        pytest.raises(OpsError) as caught,
    ):
        check_keys(fake.url, key, log=LOG)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"the front end at {fake.url} ")
    assert text.endswith("; see its log front-end.log")
    assert "\n" not in text
