"""Runs of `smoke` against a fake endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.model import Model
from ops.cli import main
from ops.commands.smoke.run import Result, run
from ops.endpoint.client import Endpoint
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.fakes.endpoint import FakeEndpoint

IDS = [model.id for model in REGISTRY]
KEYED = replace(
    SETTINGS,
    llama_swap=replace(SETTINGS.llama_swap, api_key_env=("KEY_GATEWAY",)),
    api_key_secret="llama-swap-keys",
)
"""Settings that declare a key."""


def fails(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> str:
    """Run a smoke that must fail, and return its error line."""
    assert main(["smoke", "--url", url, *arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text.rstrip("\n")


def report(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> dict[str, Any]:
    """Run a smoke and return its JSON."""
    main(["smoke", "--url", url, "--json", *arguments])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def declare_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the settings by ones that declare a key."""
    monkeypatch.setattr("stacks.production.PRODUCTION", KEYED)


def outcomes(document: dict[str, Any], model: str | None) -> dict[str, str]:
    checks = [check for check in document["checks"] if check["model"] == model]
    return {check["name"]: check["outcome"] for check in checks}


def ask(
    fake: FakeEndpoint, models: tuple[Model, ...] = REGISTRY, registry: tuple[Model, ...] = ()
) -> tuple[Result, list[str]]:
    """Run the checks without the command line; return the warnings too."""
    warnings: list[str] = []
    with Endpoint(fake.url) as endpoint:
        result = run(
            endpoint,
            registry=registry or models,
            models=models,
            key_declared=False,
            server=SETTINGS.llama_swap.server,
            engine_build=SETTINGS.engine_build,
            own_log=None,
            random_weights=False,
            timeout_s=5,
            say=lambda _line: None,
            warn=warnings.append,
        )
    return result, warnings
