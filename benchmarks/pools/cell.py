"""One cell of the benchmark and what was seen in it, which LiteLLM's Python reads and writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Mix = Literal["steady", "bursty", "hot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is simulated."""

    pools: int
    models: int
    mix: Mix
    seed: int
    """Equal seeds make equal requests and equal random choices of the router."""
    requests: int
    outage_s: tuple[float, float] | None = None
    """When the first pool dies, and when it is back without a model."""
    router: Mapping[str, Any]
    """The arguments of LiteLLM's Router."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of one request."""

    at_s: float
    """Seconds since the start."""
    model: str
    wait_s: float
    """Seconds from the request to its answer or error."""
    error: str = ""
    """The class of LiteLLM's exception; empty: it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A pool starts to load a model."""

    at_s: float
    """Seconds since the start."""
    pool: str
    model: str
    beside: tuple[str, ...]
    """The models that stay on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen in a cell."""

    asked: tuple[Asked, ...]
    """In the order of the requests."""
    loads: tuple[Load, ...]
    """In the order of their starts, pool by pool."""


def cell_line(cell: Cell) -> str:
    """Write a cell as a line of JSON."""
    return json.dumps(asdict(cell))


def read_cell(line: str) -> Cell:
    """Read what `cell_line` wrote."""
    return Cell(**json.loads(line))


def seen_line(seen: Seen) -> str:
    """Write what was seen as a line of JSON."""
    return json.dumps(asdict(seen))


def read_seen(line: str) -> Seen:
    """Read what `seen_line` wrote."""
    document = json.loads(line)
    return Seen(
        asked=tuple(Asked(**asked) for asked in document["asked"]),
        loads=tuple(
            Load(**{**load, "beside": tuple(load["beside"])}) for load in document["loads"]
        ),
    )
