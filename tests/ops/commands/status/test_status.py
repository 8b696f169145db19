"""`ops status`: what the exporter says, as a person reads it, and answers that are not its."""

from __future__ import annotations

import copy
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ops.cli import app
from ops.commands.status.exporter import Exporter
from ops.commands.status.shown import rendered
from ops.commands.status.state import State, read_state
from ops.endpoint.client import Endpoint
from ops.errors import OpsError
from tests.declaration.pools import POOLED, RTX3090, T4, TWO_CARDS

NOW = 1_800_000_000.0
STATE: dict[str, Any] = {
    "version": 1,
    "time": NOW,
    "endpoint": {"state": "serves", "reason": "", "since": NOW - 60, "ready_in_s": None},
    "models": {
        "qwen3vl-8b": {"state": "ready", "loaded_since": NOW - 30},
        "qwen3vl-4b": {"state": "stopped", "loaded_since": None},
    },
    "vram": {"used_mib": 7200.4, "total_mib": 15360, "others_mib": 456.7, "age_s": 3.2},
    "window": {"open": False, "holder": None, "until": None},
    "tenants": [
        {"name": "immich/ml", "kind": "Deployment", "has_card": False, "replicas": 0},
    ],
    "requests": {"in_flight": 2, "last_ok": NOW - 75},
    "swaps": [
        {"model": "a", "seconds": 4.25, "ended": NOW - 90, "outcome": "failed", "waited": 3},
        {"model": "b", "seconds": 1.0, "ended": NOW - 40, "outcome": "ready", "waited": 1},
    ],
}  # fmt: skip


@contextmanager
def exporter(body: bytes, status: int = 200) -> Iterator[str]:
    """Serve one answer at every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def shown(**changes: Any) -> str:
    document = copy.deepcopy(STATE) | changes
    with exporter(json.dumps(document).encode()) as url, Endpoint(url) as client:
        state = read_state(client)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(rendered(state))
    return console.export_text()


def test_the_terminal_says_what_the_exporter_sees() -> None:
    text = shown()
    assert "Endpoint: serves since " in text
    assert "Requests: 2 in flight; last answer 1m 15s ago" in text
    assert "Card: 7200 of 15360 MiB used, 457 by other programs (3s ago)" in text
    assert "Window: none is open" in text
    assert "Tenant immich/ml: has not the card, 0 replicas wanted" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["qwen3vl-4b", "stopped"] in lines
    assert [line[2:] for line in lines if line[2:3] in (["a"], ["b"])] == [
        ["b", "1.0", "s", "ready", "1"],
        ["a", "4.2", "s", "failed", "3"],
    ]


def test_a_card_that_its_owner_has_is_a_state() -> None:
    text = shown(
        endpoint={
            "state": "waits", "reason": "immich/ml has the card", "since": None,
            "ready_in_s": None,
        },
        vram=None,
        requests={"in_flight": 0, "last_ok": None},
        swaps=[],
    )  # fmt: skip
    assert "Endpoint: waits; immich/ml has the card" in text
    assert "Card: not known" in text
    assert "last answer none yet" in text
    assert "Last swaps" not in text


def test_what_others_hold_is_not_known_while_a_model_swaps() -> None:
    text = shown(vram=STATE["vram"] | {"others_mib": None})
    assert "Card: 7200 of 15360 MiB used (3s ago)" in text


def test_a_window_past_its_deadline_is_said() -> None:
    text = shown(window={"open": True, "holder": "me@laptop", "until": NOW - 5})
    assert "held by me@laptop, past its deadline" in text
    assert "past its deadline" not in shown(
        window={"open": True, "holder": "me@laptop", "until": NOW + 5}
    )


def test_json_is_the_exporters_own() -> None:
    with exporter(json.dumps(STATE).encode()) as url:
        ran = CliRunner().invoke(app, ["status", "--url", url, "--json"])
    assert ran.exit_code == 0
    assert json.loads(ran.output) == STATE


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = shown(models={"a\x1b[2J": {"state": "ready\n\x1b]0;x\x07", "loaded_since": None}})
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"no JSON", 200, "does not answer: the answer is not JSON"),
        (b"{}", 200, "is no answer of the exporter (KeyError: 'version')"),
        (b"[]", 200, "is no answer of the exporter"),
        (json.dumps(STATE | {"version": 2}).encode(), 200, "version is 2"),
        (json.dumps(STATE | {"models": []}).encode(), 200, "is no answer of the exporter"),
        (json.dumps(STATE | {"vram": {}}).encode(), 200, "is no answer of the exporter"),
        (json.dumps(STATE | {"vram": {"cards": 7}}).encode(), 200, "is no answer of the exporter"),
        (json.dumps(STATE | {"time": "x"}).encode(), 200, "is no answer of the exporter"),
        (json.dumps(STATE | {"time": 10**400}).encode(), 200, "is no answer of the exporter"),
        (b"gone", 404, "does not answer: status 404"),
    ],
)  # fmt: skip
def test_another_answer_is_one_line(body: bytes, status: int, expected: str) -> None:
    with exporter(body, status) as url, Endpoint(url) as client:
        with pytest.raises(OpsError) as caught:
            read_state(client)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert url in str(caught.value)


def test_nobody_answers() -> None:
    with Endpoint("http://127.0.0.1:9") as client, pytest.raises(OpsError, match="cannot connect"):
        read_state(client)


def test_watch_and_json_exclude_each_other() -> None:
    ran = CliRunner().invoke(app, ["status", "--watch", "--json"])
    assert ran.exit_code == 2


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Two of three pools have an exporter that answers: namespace -> its address."""
    addresses: dict[str, str] = {}

    @contextmanager
    def forward(_target: object, *, namespace: str, service: str, **_: object) -> Iterator[str]:
        assert service == "exporter"
        if namespace not in addresses:
            raise OpsError(f"kubectl port-forward to {namespace}/exporter fails")
        yield addresses[namespace]

    monkeypatch.setattr("stacks.declared.load_settings", lambda: POOLED)
    monkeypatch.setattr("ops.cluster.environment.check_cluster", lambda: None)
    monkeypatch.setattr("ops.cluster.port_forward.to_service", forward)
    other = STATE | {"models": {"minicpm-v-4-5": {"state": "ready", "loaded_since": NOW}}}
    with (
        exporter(json.dumps(STATE).encode()) as first,
        exporter(json.dumps(other).encode()) as third,
    ):
        addresses |= {"llama-cpp": first, "llama-cpp-two-cards": third}
        yield addresses


@pytest.mark.usefixtures("pooled")
def test_a_pool_that_does_not_answer_is_a_line_and_no_end() -> None:
    ran = CliRunner().invoke(app, ["status"])
    assert ran.exit_code == 1
    parts = ran.output.split("Pool ")
    assert [part.splitlines()[0] for part in parts[1:]] == [T4, RTX3090, TWO_CARDS]
    assert "qwen3vl-8b" in parts[1]
    assert parts[2].splitlines()[1].startswith("Not known: kubectl port-forward to llama-cpp-rtx")
    assert "minicpm-v-4-5" in parts[3]


@pytest.mark.usefixtures("pooled")
def test_json_of_several_pools_is_a_list() -> None:
    ran = CliRunner().invoke(app, ["status", "--json"])
    assert ran.exit_code == 1
    first, second, third = json.loads(ran.stdout)
    assert first == {"pool": T4, "state": STATE}
    assert second.keys() == {"pool", "error"}
    assert (third["pool"], [*third["state"]["models"]]) == (TWO_CARDS, ["minicpm-v-4-5"])


@pytest.mark.usefixtures("pooled")
def test_one_of_several_pools_is_shown_as_an_only_one() -> None:
    ran = CliRunner().invoke(app, ["status", "--pool", T4, "--json"])
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, STATE)
    assert "Pool" not in CliRunner().invoke(app, ["status", "--pool", TWO_CARDS]).output
    ran = CliRunner().invoke(app, ["status", "--pool", RTX3090])
    assert isinstance(ran.exception, OpsError)
    assert "llama-cpp-rtx3090/exporter fails" in str(ran.exception)


@pytest.mark.usefixtures("pooled")
def test_an_unknown_pool_is_named() -> None:
    ran = CliRunner().invoke(app, ["status", "--pool", "a100"])
    assert "expected one of t4, rtx3090, two-cards" in str(ran.exception)


def test_an_exporter_that_answers_again_is_asked_anew(pooled: dict[str, str]) -> None:
    forwards: list[str] = []

    @contextmanager
    def forward() -> Iterator[str]:
        forwards.append(pooled["llama-cpp"])
        yield forwards[-1]

    with Exporter.at(forward) as asked:
        address, pooled["llama-cpp"] = pooled["llama-cpp"], "http://127.0.0.1:9"
        assert isinstance(asked.look(), OpsError)
        pooled["llama-cpp"] = address
        assert isinstance(asked.look(), State)
        assert isinstance(asked.look(), State)
    assert forwards == ["http://127.0.0.1:9", address]


def test_the_memory_of_each_card_is_a_line() -> None:
    cards = [
        {"card": card, "used_mib": used, "total_mib": 15360, "others_mib": None, "age_s": 3}
        for card, used in (("0", 900), ("1", 7000))
    ]
    text = shown(vram=STATE["vram"] | {"cards": cards})
    assert "Card 0: 900 of 15360 MiB used (3s ago)" in text
    assert "Card 1: 7000 of 15360 MiB used (3s ago)" in text


def test_an_address_and_a_pool_exclude_each_other() -> None:
    ran = CliRunner().invoke(app, ["status", "--url", "http://127.0.0.1:9", "--pool", T4])
    assert ran.exit_code == 2
