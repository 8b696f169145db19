"""A production file for a test: what `up` synthesizes and what commands read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.model import Model
from ops.commands.up import run as run_up
from ops.terraform.synth import Synthesized
from stacks.settings import Settings
from tests.declaration.registry import REGISTRY


def declare_production(
    patch: pytest.MonkeyPatch,
    synth: Callable[..., dict[str, Any]],
    settings: Settings,
    models: tuple[Model, ...] = REGISTRY,
) -> None:
    """Make these settings those of stacks/production.py, and these models the registry's."""
    changes = {field.name: getattr(settings, field.name) for field in fields(settings)}
    document = synth(models, **changes)

    def synthesize(*, outdir: Path) -> Synthesized:
        directory = outdir / "stacks" / "llama-cpp"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cdk.tf.json").write_text(json.dumps(document))
        return Synthesized(directory=directory, document=document)

    patch.setattr(run_up, "synthesize", synthesize)
    patch.setattr("stacks.production.PRODUCTION", settings)
    patch.setattr("llama_swap_config.registry.REGISTRY", models)
