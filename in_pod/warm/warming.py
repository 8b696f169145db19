"""Warm the plan's models as far as memory allows, and report on each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .contract import SHARE
from .memory import available_bytes, limit_bytes, resident_pages
from .plan import Model
from .reading import cold_ranges, read_ranges
from .text import Say, size_text
from .waiting import published, wait_for


@dataclass(slots=True, kw_only=True)
class Warmed:
    """The result for a model."""

    id: str
    size_bytes: int
    read_bytes: int = 0
    seconds: float = 0.0
    mb_per_s: float = 0.0
    resident_percent: float | None = None
    """None if the kernel does not tell: only a file's owner or writer gets the truth."""
    skipped: str = ""
    """Why it was not read; empty if it was read or resident."""

    def __str__(self) -> str:
        share = self.resident_percent
        resident = "residency unknown" if share is None else f"{share} % resident"
        if self.skipped:
            return f"{self.id}: not warmed: {self.skipped}; {resident}"
        if not self.read_bytes:
            return f"{self.id}: {size_text(self.size_bytes)} were already in memory"
        read = f"{size_text(self.read_bytes)} read in {self.seconds} s, {self.mb_per_s:.0f} MB/s"
        return f"{self.id}: {read}; {resident}"


def warm_all(plan: tuple[Model, ...], models: Path, wait_s: float, say: Say) -> dict[str, object]:
    """Wait for the models, read them and return the report."""
    waited_s = wait_for(models, plan, wait_s, say)
    # The cgroup is charged for what it reads; the node also holds what was resident before.
    node = int(SHARE * available_bytes())
    cgroup = int(SHARE * (limit_bytes() or available_bytes()))
    budget = min(node, cgroup)
    warmed = []
    for model in plan:
        try:
            result = warm(models, model, min(node, cgroup), say)
        except OSError as error:
            reason = error.strerror or str(error)
            result = Warmed(id=model.id, size_bytes=model.size_bytes, skipped=reason)
        cgroup -= result.read_bytes
        node -= 0 if result.skipped else result.size_bytes
        say(str(result))
        warmed.append(asdict(result))
    return {
        "event": "warm",
        "waited_s": round(waited_s, 1),
        "budget_bytes": budget,
        "models": warmed,
    }


def warm(models: Path, model: Model, budget: int, say: Say) -> Warmed:
    """Read a model unless it is resident or too large for the budget."""
    result = Warmed(id=model.id, size_bytes=model.size_bytes)
    paths = [path for file in model.files if (path := published(models, model, file)) is not None]
    if len(paths) < len(model.files):
        result.skipped = "not published"
        return result
    cold = [(path, cold_ranges(path)) for path in paths]
    cold_bytes = sum(size for _, ranges in cold for _, size in ranges)
    if cold_bytes > budget:
        result.skipped = f"{size_text(cold_bytes)} do not fit {size_text(budget)} of memory"
    else:
        started = time.monotonic()
        for path, ranges in cold:
            label = f"{model.id}/{model.files[paths.index(path)].name}"
            read_ranges(path, ranges, label, say)
        result.read_bytes = cold_bytes
        result.seconds = round(time.monotonic() - started, 3)
        result.mb_per_s = round(cold_bytes / 1e6 / max(result.seconds, 1e-3), 1)
        # Pages that were read twice stay longer than other files' pages.
        for path, ranges in cold:
            read_ranges(path, ranges, f"{model.id}, second pass", say)
    pages = [resident_pages(path) for path in paths]
    if None not in pages:
        every = b"".join(page for page in pages if page is not None)
        result.resident_percent = round(100 * sum(every) / max(1, len(every)), 1)
    return result
