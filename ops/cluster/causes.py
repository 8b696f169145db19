"""What can fail after an apply: the exit code of each cause, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "image",
    "pull",
    "secret",
    "start",
    "crash",
    "quota",
    "admission",
    "node",
    "volume",
    "download",
    "terminating",
]
WAITS = 4
"""Exit code of a deploy whose endpoint still waits for something that no setting declares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One kind of failure."""

    exit_code: int
    """That of `deploy`."""
    what: str
    """What has failed, as the pages say it."""
    remedy: str
    """What to do, as a sentence."""


def failure_of(cause: Cause | None) -> Failure:
    """Return what a cause means; whatever has failed has one."""
    assert cause is not None  # noqa: S101 - for the type checker.
    return FAILURES[cause]


FAILURES: dict[Cause, Failure] = {
    "image": Failure(
        exit_code=10,
        what="an image cannot be pulled",
        remedy="Correct the image in stacks/production.py",
    ),
    "pull": Failure(
        exit_code=10,
        what="an image cannot be pulled",
        remedy="Let the node reach its registry; the pod then starts by itself",
    ),
    "secret": Failure(
        exit_code=11,
        what="a Secret, a ConfigMap or one of their keys is missing",
        remedy="Create it; the pod then starts by itself",
    ),
    "crash": Failure(
        exit_code=12,
        what="a container does not start, or ends again and again",
        remedy="Correct the model or the setting that its log names",
    ),
    "start": Failure(
        exit_code=12,
        what="a container does not start, or ends again and again",
        remedy="Correct the command, or what the message names on the node",
    ),
    "quota": Failure(
        exit_code=13,
        what="a ResourceQuota or LimitRange refuses the pod",
        remedy="Raise the quota, or lower resources in stacks/production.py",
    ),
    "admission": Failure(
        exit_code=14,
        what="the API server refuses the pod",
        remedy="Change what the message names, in the cluster or in stacks/production.py",
    ),
    "node": Failure(
        exit_code=15,
        what="no node takes the pod, or its node does not answer",
        remedy="Compare gpu and resources in stacks/production.py with `kubectl describe node`",
    ),
    "volume": Failure(
        exit_code=16,
        what="a volume is not bound or cannot be mounted",
        remedy="Compare storage in stacks/production.py with the server or node that has it",
    ),
    "download": Failure(
        exit_code=17,
        what="the download Job failed",
        remedy='Its exit code is explained in docs/weights.md; then see docs/operating.md, "Run '
        'the download again"',
    ),
    "terminating": Failure(
        exit_code=18,
        what="an object is being deleted or is gone",
        remedy="Wait until it is gone, or remove what holds it; then deploy again",
    ),
}
