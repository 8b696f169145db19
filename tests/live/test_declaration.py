"""This tree's own registry, lock and settings are valid, whatever their values are.

Programs run here as an operator runs them. All other tests see the frozen declaration of
tests/declaration/, so an edit of yours changes the result of this folder alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from llama_swap_config.front_ends import FRONT_ENDS
from ops.errors import OpsError
from ops.report.redaction import redact_all
from tests.live.snapshot import ROOT, SNAPSHOT, snapshot


def test_main_writes_the_stack(refusal_or_stack: OpsError | dict[str, Any]) -> None:
    if isinstance(refusal_or_stack, OpsError):
        pytest.fail(f"error: {refusal_or_stack}", pytrace=False)


def test_the_stack_is_the_one_of_the_snapshot(stack: dict[str, Any], update_golden: bool) -> None:
    text = snapshot(stack)
    if update_golden:
        SNAPSHOT.write_text(text)
    elif not SNAPSHOT.exists() or SNAPSHOT.read_text() != text:
        pytest.fail(
            f"{SNAPSHOT.relative_to(ROOT)} is not what main.py writes; run `make snapshot` and "
            "review the difference",
            pytrace=False,
        )


def test_the_stack_holds_no_secret(stack: dict[str, Any]) -> None:
    shown = json.loads(snapshot(stack))
    assert redact_all(shown) == shown


def test_every_model_that_is_served_is_downloaded_and_warmed(stack: dict[str, Any]) -> None:
    pools: dict[str, dict[str, str]] = {}
    for config_map in stack["resource"]["kubernetes_config_map_v1"].values():
        pools.setdefault(config_map["metadata"]["namespace"], {}).update(config_map["data"])
    published = set().union(*(_ids(texts, "download-plan.json") for texts in pools.values()))
    warmed = set().union(*(_ids(texts, "warm-plan.json") for texts in pools.values()))
    assert published
    if warmed:  # A setting turns the warm-up off.
        assert warmed == published
    config_keys = {front_end.config_key for front_end in FRONT_ENDS.values()}
    configs = {
        namespace: texts[key]
        for namespace, texts in pools.items()
        for key in config_keys & texts.keys()
    }
    assert all(any(model_id in config for config in configs.values()) for model_id in published)
    for namespace, config in configs.items():
        assert all(model_id in config for model_id in _ids(pools[namespace], "warm-plan.json"))


def _ids(texts: Mapping[str, str], plan: str) -> set[str]:
    """Return the models of a namespace's plan; none where it has no such plan."""
    return {model["id"] for model in json.loads(texts[plan])["models"]} if plan in texts else set()


@pytest.mark.parametrize("command", ["fit", "lock --check"])
def test_a_command_accepts_the_declaration(command: str, stack: dict[str, Any]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ops", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
