"""Drift on a terminal, in Markdown and as JSON, whatever its values are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from rich.console import Console

from ops.commands.drift import text
from ops.commands.drift.cluster import configuration_findings
from ops.commands.drift.declared import Declared
from ops.commands.drift.difference import merge
from ops.commands.drift.run import Drift, SourceState
from tests.ops.commands.drift.findings import at, finding

HOSTILE = "`\x1b[31m</code>\n| @everyone www.evil.example <script> " + "x" * 100_000


@pytest.fixture
def hostile(declared: Declared, config: dict[str, Any]) -> Drift:
    config["models"]["qwen3vl-4b"]["name"] = HOSTILE
    config["models"][HOSTILE[:300]] = {"cmd": "x"}
    content = yaml.safe_dump(config, sort_keys=False)
    findings = configuration_findings(declared, content, at("", "in the ConfigMap"))
    return Drift(
        models=("qwen3vl-4b",),
        sources=(
            SourceState(source="cluster", state="asked"),
            SourceState(source="server", state="unreachable", reason=HOSTILE[:50]),
        ),
        differences=merge([("cluster", finding) for finding in findings]),
        notes=(),
    )


def test_hostile_values_are_harmless_on_a_terminal(hostile: Drift) -> None:
    console = Console(width=120, force_terminal=True, color_system=None)
    with console.capture() as capture:
        text.show(console, hostile)
    shown = capture.get()
    assert "model qwen3vl-4b: name is `?[31m</code> | @everyone" in shown
    assert "\x1b[31m" not in shown
    assert len(shown) < 4000


def test_hostile_values_are_harmless_in_markdown(hostile: Drift) -> None:
    shown = text.as_markdown(hostile)
    values = re.findall("<code>[^<>]*</code>", shown)
    assert len(values) == shown.count("<code>") == shown.count("</code>")
    entities = re.sub(r"&#\d+;|</?code>", "", shown)
    for begins in ("`", "<", "@", "](", "http://", "www.", "\x1b"):
        assert begins not in entities
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
    assert len(shown) < 6000


def test_markdown_of_5000_differences_fits_a_comment(hostile: Drift) -> None:
    findings = [
        finding(f"model {number:05}", "presence", at("present", "there"), at("absent", "declared"))
        for number in range(5000)
    ]
    many = replace(hostile, differences=merge([("cluster", finding) for finding in findings]))
    shown = text.as_markdown(many)
    assert len(shown) < 60_000
    assert re.search(r"- and \d{4} more; --json has all", shown)
    assert len(text.as_json(many)["differences"]) == 5000


def test_json_keeps_its_names(hostile: Drift) -> None:
    document = json.loads(json.dumps(text.as_json(hostile)))
    assert set(document) == {"drift", "sources", "rows", "differences", "notes"}
    assert document["drift"] is True
    assert document["sources"][0] == {"source": "cluster", "state": "asked", "reason": ""}
    assert document["rows"][0] == {
        "name": "qwen3vl-4b",
        "declared": True,
        "cluster": "differs",
        "server": "unreachable",
    }
    names = {"subject", "field", "found", "declared", "newer", "remedy", "line"}
    assert {frozenset(difference) for difference in document["differences"]} == {frozenset(names)}
    values = {"source", "value", "where", "who", "time"}
    assert set(document["differences"][0]["found"][0]) == values
