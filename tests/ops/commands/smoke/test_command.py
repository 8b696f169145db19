"""The options of `smoke`: addresses, models, and the outputs for programs."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ops.cli import main
from ops.endpoint.client import base_url
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Reply
from tests.ops.commands.smoke.smoke_runs import IDS, fails

A, B, C = IDS


def test_model_option_limits_the_checked_models(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint() as fake:
        assert main(["smoke", "--url", fake.url, "--model", C, "--model", A, "--model", C]) == 0
    assert fake.swaps == [A, C]
    line = fails(capsys, "http://127.0.0.1:1", "--model", "qwen")
    assert line == f"error: --model is 'qwen'; expected one of {A}, {B}, {C}"


def test_json_has_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint() as fake:
        assert main(["smoke", "--url", f"{fake.url}/v1/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["url"] == fake.url
    assert document["front_end"] == "llama-swap"
    assert document["ok"]
    assert len(document["checks"]) == 4 + 3 * 9
    assert set(document["checks"][0]) == {
        "model", "name", "outcome", "seconds", "reason", "note",
    }  # fmt: skip


def test_junit_has_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "smoke.xml"
    faults = {f"{B} load": fakes.always(Reply(status=500, body='\x00<&"'))}
    with FakeEndpoint(faults=faults) as fake:
        fails(capsys, fake.url, "--junit", str(path))
    root = ET.parse(path).getroot()
    assert root.attrib | {"time": ""} == {
        "name": "smoke", "tests": "31", "failures": "1", "skipped": "7", "time": "",
    }  # fmt: skip
    assert [suite.get("name") for suite in root] == ["endpoint", *IDS]
    (failure,) = root.iter("failure")
    assert failure.get("message") == 'status 500: ?<&"'


def test_unwritable_junit_path_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeEndpoint() as fake:
        line = fails(capsys, fake.url, "--junit", str(tmp_path / "gone" / "smoke.xml"))
        assert "smoke.xml cannot be written" in line
        assert fake.paths == []
        assert "cannot be written (Is a directory)" in fails(
            capsys, fake.url, "--junit", str(tmp_path)
        )


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("localhost:8080", "Write http://localhost:8080"),
        ("//host", "Write http://host"),
        ("ftp://host", "expected http(s)://host[:port]"),
        ("http://", "expected http(s)://host[:port]"),
        ("http://host:99999", "Port out of range"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://host/?a=b", "expected http(s)://host[:port]"),
        ("http://a b", "expected http(s)://host[:port]"),
        ("http://me:s3cret@host", "Put the key into LLAMA_API_KEY"),
    ],
)
def test_invalid_address_is_refused(
    url: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, url)
    assert line.startswith("error: --url ")
    assert error in line
    assert "s3cret" not in line


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "//"])
def test_trailing_slash_and_v1_are_removed(end: str) -> None:
    assert base_url(f" https://host:8443{end}") == "https://host:8443"
    assert base_url(f"http://gateway/llama{end}") == "http://gateway/llama"


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    for option in ("--url", "--model", "--random-weights", "--json", "--junit", "--timeout-s"):
        assert option in shown


@pytest.mark.parametrize(
    ("words", "key", "message"),
    [
        (["--consumer", "nobody"], "sk-a", "--consumer is 'nobody'; expected one of llama_swap_"),
        (["--consumer", "n8n"], "", "LLAMA_API_KEY is not set; expected a key of consumer 'n8n'"),
        (["--consumer", "n8n"], "sk-a", "--url is missing; expected the gateway's address"),
        (
            ["--consumer", "n8n", "--model", "minicpm-v-4-5"],
            "sk-a",
            "--model is 'minicpm-v-4-5'; expected one of qwen3vl-8b, qwen3vl-4b",
        ),
    ],
)
def test_a_consumer_that_cannot_ask(
    words: list[str],
    key: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", key)
    assert main(["smoke", *words]) == 1
    assert message in capsys.readouterr().err
