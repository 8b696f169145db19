"""How often the exporter looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Intervals in seconds."""

    tick_s: float = 0.5
    """Of the checks for something to do."""
    answers_s: float = 2.0
    """Between two requests for new answers, which each leave a line in llama-swap's log."""
    gauges_s: float = 5.0
    """Between two readings of the front end's gauges, which leave none."""
    states_s: float = 2.0
    """Between two readings of the router's states, beside its events."""
    cluster_s: float = 10.0
    """Between two readings of the cluster."""
    first_retry_s: float = 0.5
    """Before the second try to connect to the front end; doubles each time."""
    last_retry_s: float = 15.0
    """The longest pause between two tries."""
