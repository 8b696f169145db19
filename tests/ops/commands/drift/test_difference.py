"""A difference in a line: its sources, which side is newer, what to do, and no secret."""

from __future__ import annotations

import pytest

from ops.commands.drift.declared import Declared, deploy_remedy
from ops.commands.drift.difference import Finding, Source, Value, merge, value_text
from ops.report.redaction import MARK
from tests.ops.commands.drift.findings import at, finding


def test_sources_of_one_field_share_a_line() -> None:
    wanted = at("3072", "declared", 1000, "commit 930f1e8")
    edited = at("4096", "in the ConfigMap", 90_000, "kubectl-edit")
    running = at("2048", "in the running server")
    findings: list[tuple[Source, Finding]] = [
        ("cluster", finding("model a", "--ctx-size", edited, wanted)),
        ("server", finding("model a", "--ctx-size", running, wanted)),
    ]
    (difference,) = merge(findings)
    assert difference.newer == "cluster"
    assert difference.line == (
        "model a: --ctx-size is 4096 in the ConfigMap (kubectl-edit, 1970-01-02 01:00Z), 2048 in "
        "the running server, 3072 declared (commit 930f1e8, 1970-01-01 00:16Z): the cluster is "
        "newer; do it"
    )


@pytest.mark.parametrize(
    ("found_s", "declared_s", "newer", "ending"),
    [
        (2.0, 1.0, "cluster", "the cluster is newer; do it"),
        (1.0, 2.0, "declared", "the working tree is newer; do it"),
        (None, 2.0, None, "declared (1970-01-01 00:00Z): do it"),
        (1.0, None, None, "declared: do it"),
    ],
)
def test_the_newer_side_is_named_if_known(
    found_s: float | None, declared_s: float | None, newer: str | None, ending: str
) -> None:
    values = at("1", "there", found_s), at("2", "declared", declared_s)
    (difference,) = merge([("cluster", finding("a", "b", *values))])
    assert difference.newer == newer
    assert difference.line.endswith(ending)


def test_the_remedy_for_an_undeclared_flag_is_its_removal(declared: Declared) -> None:
    there, nothing = Value(text="4", where="here"), Value(text="not set", where="declared")
    remedy = deploy_remedy("--threads", there, nothing, "registry.py")
    assert remedy == "python -m ops deploy removes it, or declare 4 in registry.py"


@pytest.mark.parametrize(
    "field",
    ["--api-key", "apiKeys", "env.HF_TOKEN", "spec.env[DB_PASSWORD].value", "--hf-token"],
)
def test_a_secret_is_redacted(field: str) -> None:
    assert value_text(field, "s3cret") == MARK


def test_a_harmless_value_with_the_name_of_a_secret_is_shown() -> None:
    assert value_text("--image-max-tokens", "1024") == "1024"
    assert value_text("envFrom[0].secretRef.name", "keys") == "keys"
    assert value_text("env.LLAMA_API_KEY", "${env.KEY}") == "${env.KEY}"
    assert value_text("proxy", "http://ann:pw@host/x") == "http://ann:[redacted]@host/x"


def test_long_values_are_shortened_and_differ_by_digest() -> None:
    first, second = value_text("name", "x" * 100_000), value_text("name", "x" * 99_999 + "y")
    assert first != second
    assert len(first) < 130
    assert "100000 characters" in first
