"""The plan: what the repository declares about the models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .errors import ExporterError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """A model of the registry."""

    id: str
    aliases: tuple[str, ...]
    vram_mib: float | None
    """Predicted VRAM; None if nothing predicts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the exporter knows without asking anybody."""

    front_end: str
    engine_build: int
    """Build of llama.cpp; 0 if unknown."""
    config_sha256: str
    """Of the front end's configuration."""
    models: tuple[PlannedModel, ...]

    @property
    def tells_requests(self) -> bool:
        """Whether the front end tells each request; the router only counts them."""
        return self.front_end == "llama-swap"

    @property
    def ids(self) -> tuple[str, ...]:
        """The models' ids."""
        return tuple(model.id for model in self.models)

    @property
    def labels(self) -> dict[str, str]:
        """Every name of a model -> its id."""
        names = {alias: model.id for model in self.models for alias in model.aliases}
        return names | {model.id: model.id for model in self.models}

    @property
    def vram_mib(self) -> dict[str, float]:
        """Id -> predicted MiB, where there is a prediction."""
        return {model.id: model.vram_mib for model in self.models if model.vram_mib is not None}


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        ExporterError: when there is none, or it has another form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != 1:
            raise ValueError(f"version is {document['version']!r}; expected 1")
        models = tuple(
            PlannedModel(
                id=str(model["id"]),
                aliases=tuple(map(str, model["aliases"])),
                vram_mib=None if model["vram_mib"] is None else float(model["vram_mib"]),
            )
            for model in document["models"]
        )
        return Plan(
            front_end=str(document["front_end"]),
            engine_build=int(document["engine_build"]),
            config_sha256=str(document["config_sha256"]),
            models=models,
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExporterError(f"{path} is not a plan of the exporter: {reason}") from error
