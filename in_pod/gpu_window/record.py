"""What a window puts back: written into its Lease before anything is scaled."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import cast

from .contract import ANNOTATION, BAD_DATA, ENDPOINT_REPLICAS, LEASE
from .errors import WindowError

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_QUEUE = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A Deployment that had the card."""

    namespace: str
    deployment: str
    replicas: int
    """As many as it had."""
    ready: int
    """As many of them as were ready: the others may never have fitted."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.deployment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What there is to put back."""

    deadline: float
    """By the API server's clock, in seconds since 1970."""
    tenants: tuple[Tenant, ...] = ()
    llama_swap_replicas: int = ENDPOINT_REPLICAS
    """As many as are declared."""
    queues: tuple[str, ...] = ()
    """Those of Immich that ran and are paused; its address is in no record, because whoever
    writes there would be sent the key."""
    given_back: bool = False
    """Whether every Deployment has its replicas again and only the queues remain."""

    def to_json(self) -> str:
        """Write it as the annotation holds it."""
        document = asdict(self) | {"deadline": time_text(self.deadline)}
        return json.dumps(document, indent=1)


def parse_record(text: object) -> Record:
    """Read the annotation.

    Raises:
        WindowError: when it is damaged; the message says what to do by hand.
    """
    try:
        document = json.loads(cast("str", text))
        record = Record(
            **document
            | {
                "deadline": parse_time(document["deadline"]),
                "tenants": tuple(Tenant(**each) for each in document["tenants"]),
                "queues": tuple(document["queues"]),
            }
        )
        names = [name for each in record.tenants for name in (each.namespace, each.deployment)]
        counts = [count for each in record.tenants for count in (each.replicas, each.ready)]
        sound = (
            all(_NAME.fullmatch(name) for name in names)
            and all(_QUEUE.fullmatch(name) for name in record.queues)
            and all(type(each) is int and each >= 0 for each in counts)
            and type(record.llama_swap_replicas) is int
            and type(record.given_back) is bool
        )
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise _damaged(" ".join(str(error).split())[:120]) from error
    if not sound:
        raise _damaged("a name or a number is none")
    return record


def _damaged(reason: str) -> WindowError:
    return WindowError(
        f"the Lease {LEASE} has no record that can be read ({ANNOTATION}: {reason}); scale what "
        "had the card by hand, resume Immich's queues, then delete the Lease",
        BAD_DATA,
    )


def parse_time(text: str) -> float:
    """Read a time of Kubernetes, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def time_text(moment: float) -> str:
    """Write a time as Kubernetes does, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:26] + "Z"
