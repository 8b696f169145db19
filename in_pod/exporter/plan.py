"""The plan: what the repository declares about the models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .contract import ONLY_CARD
from .errors import ExporterError

_MOST_CARDS = 16
"""Of one llama-server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """A model of the registry."""

    id: str
    aliases: tuple[str, ...]
    vram_mib: float | None
    """Predicted VRAM; None if nothing predicts it."""
    vram_mib_by_card: Mapping[str, float] = field(default_factory=dict)
    """Its parts, where there are several cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the exporter knows without asking anybody."""

    front_end: str
    engine_build: int
    """Build of llama.cpp; 0 if unknown."""
    config_sha256: str
    """Of the front end's configuration."""
    models: tuple[PlannedModel, ...]
    cards: int = 1

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
    def card_labels(self) -> tuple[str, ...]:
        """The cards as labels: their numbers where there are several."""
        return (ONLY_CARD,) if self.cards == 1 else tuple(map(str, range(self.cards)))

    @property
    def vram_mib(self) -> dict[tuple[str, str], float]:
        """Id and card -> predicted MiB, where there is a prediction."""
        return {
            (model.id, card): mib
            for model in self.models
            if model.vram_mib is not None
            for card, mib in (model.vram_mib_by_card or {ONLY_CARD: model.vram_mib}).items()
        }


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
                vram_mib_by_card={
                    str(card): float(mib)
                    for card, mib in model.get("vram_mib_by_card", {}).items()
                },
            )
            for model in document["models"]
        )
        cards = int(document.get("cards", 1))
        if not 1 <= cards <= _MOST_CARDS:
            raise ValueError(f"cards is {cards}; expected 1 to {_MOST_CARDS}")
        return Plan(
            front_end=str(document["front_end"]),
            engine_build=int(document["engine_build"]),
            config_sha256=str(document["config_sha256"]),
            models=models,
            cards=cards,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExporterError(f"{path} is not a plan of the exporter: {reason}") from error
