"""How a deploy ends: its last line and its exit code."""

from __future__ import annotations

from ops.cluster.causes import WAITS, failure_of
from ops.cluster.object_states import ObjectState
from ops.cluster.rollout import Outcome, text
from ops.errors import OpsError
from ops.report.durations import span


class NotServingError(OpsError):
    """Everything is applied, and the endpoint does not serve."""

    def __init__(self, line: str, exit_code: int) -> None:
        """Take the line for the operator, and the exit code of the cause."""
        super().__init__(line)
        self.exit_code = exit_code


def last_line(outcome: Outcome, *, wait_s: float) -> str:
    """Return the line that says how a deploy has ended.

    Args:
        outcome: What following the apply has seen.
        wait_s: For how long it may have waited, in seconds.

    Raises:
        NotServingError: if something has failed, or waits for what no setting declares.
    """
    if outcome.failed:
        raise _failed(outcome.failed, can_go_back=outcome.revision > 1)
    several = f"all {outcome.endpoints} endpoints" if outcome.endpoints > 1 else ""
    if waiting := outcome.of("waits", "failed"):
        not_yet = f"not {several} serve" if several else "the endpoint does not serve"
        raise NotServingError(
            f"deployed, but after {span(wait_s)} {not_yet} yet: waiting for "
            f"{text(waiting)}. `python -m ops deploy` follows it further",
            WAITS,
        )
    if stopped := outcome.of("stopped"):
        raise NotServingError(f"deployed, but somebody stopped it: {text(stopped)}", WAITS)
    if declared := outcome.of("declared"):
        waits = f"not {several} serve" if several else "the endpoint waits"
        return f"deployed; {waits}, as declared: {text(declared)}"
    return f"deployed; {several} serve" if several else "deployed; the endpoint serves"


def _failed(failed: tuple[ObjectState, ...], *, can_go_back: bool) -> NotServingError:
    first = failed[0]
    failure = failure_of(first.cause)
    others = f" ({len(failed) - 1} more above)" if len(failed) > 1 else ""
    line = (
        f"deployed, but {failure.what}: {first.kind} {first.shown_name}: "
        f"{first.reason}{others}. {failure.remedy}"
    )
    if can_go_back:
        line += "; or go back: `git revert` the change, then `python -m ops deploy`"
    return NotServingError(line, failure.exit_code)
