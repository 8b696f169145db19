"""A pool among several, of which one Prometheus has all series."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SELECTOR = re.compile(r"\b(llama_swap_\w+)(?:\{([^}]*)\})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPool:
    """A pool, and the namespace of its exporter, by which Prometheus labels what it scrapes."""

    name: str
    namespace: str


def of_namespace(expr: str, matcher: str) -> str:
    """Limit every selector of a query to namespaces.

    Args:
        expr: The query.
        matcher: Operator and value, such as `="llama-cpp"`.
    """
    return _SELECTOR.sub(
        lambda found: f"{found[1]}{{{f'{found[2]}, ' if found[2] else ''}namespace{matcher}}}",
        expr,
    )
