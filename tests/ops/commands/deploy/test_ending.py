"""The last line of a deploy of several endpoints."""

from __future__ import annotations

import pytest

from ops.cluster.object_states import Meaning, ObjectState
from ops.cluster.rollout import Outcome
from ops.commands.deploy.ending import NotServingError, last_line


def outcome(meaning: Meaning, *, endpoints: int = 3) -> Outcome:
    pod = ObjectState(
        kind="Pod",
        name="llama-swap-1",
        namespace="" if endpoints == 1 else "llama-cpp-rtx3090",
        state="Pending",
        meaning=meaning,
        reason="no card",
        cause="node" if meaning == "failed" else None,
    )
    failed = (pod,) if meaning == "failed" else ()
    return Outcome(objects=(pod,), failed=failed, endpoints=endpoints)


@pytest.mark.parametrize(
    ("meaning", "endpoints", "line"),
    [
        ("settled", 3, "deployed; all 3 endpoints serve"),
        (
            "declared",
            3,
            "deployed; not all 3 endpoints serve, as declared: Pod "
            "llama-cpp-rtx3090/llama-swap-1: no card",
        ),
        (
            "declared",
            1,
            "deployed; the endpoint waits, as declared: Pod llama-swap-1: no card",
        ),
    ],
)
def test_what_serves_or_waits_as_declared(meaning: Meaning, endpoints: int, line: str) -> None:
    assert last_line(outcome(meaning, endpoints=endpoints), wait_s=60) == line


@pytest.mark.parametrize(
    ("meaning", "line", "exit_code"),
    [
        (
            "waits",
            "deployed, but after 1m not all 3 endpoints serve yet: waiting for Pod "
            "llama-cpp-rtx3090/llama-swap-1: no card. `python -m ops deploy` follows it further",
            4,
        ),
        (
            "stopped",
            "deployed, but somebody stopped it: Pod llama-cpp-rtx3090/llama-swap-1: no card",
            4,
        ),
        (
            "failed",
            "deployed, but no node takes the pod, or its node does not answer: Pod "
            "llama-cpp-rtx3090/llama-swap-1: no card. Compare gpu and resources in "
            "stacks/production.py with `kubectl describe node`",
            15,
        ),
    ],
)
def test_what_does_not_serve_is_named_with_its_namespace(
    meaning: Meaning, line: str, exit_code: int
) -> None:
    with pytest.raises(NotServingError) as error:
        last_line(outcome(meaning), wait_s=60)
    assert (str(error.value), error.value.exit_code) == (line, exit_code)
