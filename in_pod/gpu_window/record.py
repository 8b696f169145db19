"""The record of what to restore, written into the Lease before anything is scaled."""

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
    """A tenant's Deployment before the window."""

    namespace: str
    deployment: str
    replicas: int
    """Its replicas before the window."""
    ready: int
    """Ready replicas before the window; the others may never have been scheduled."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.deployment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What to restore."""

    deadline: float
    """By the API server's clock, in seconds since 1970."""
    tenants: tuple[Tenant, ...] = ()
    llama_swap_replicas: int = ENDPOINT_REPLICAS
    """The endpoint's declared replicas."""
    queues: tuple[str, ...] = ()
    """Immich's queues that the window paused. The record has no address of Immich: whoever can
    change it would get the API key."""
    given_back: bool = False
    """Whether all Deployments have their replicas again and only the queues remain."""

    def to_json(self) -> str:
        """Format the record for the annotation."""
        document = asdict(self) | {"deadline": time_text(self.deadline)}
        return json.dumps(document, indent=1)


def parse_record(text: object) -> Record:
    """Parse the annotation.

    Raises:
        WindowError: when it is damaged; the message tells what to do by hand.
    """
    try:
        document = json.loads(cast("str", text))
        record = Record(
            **document
            | {
                "deadline": parse_time(document["deadline"]),
                "tenants": tuple(Tenant(**tenant) for tenant in document["tenants"]),
                "queues": tuple(document["queues"]),
            }
        )
        _check(record)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WindowError(
            f"the record of the Lease {LEASE} is damaged ({ANNOTATION}: {reason}). Scale the "
            "tenants by hand, resume Immich's queues, then delete the Lease.",
            BAD_DATA,
        ) from error
    return record


def _check(record: Record) -> None:
    """Check the fields that a request or a comparison uses.

    Raises:
        ValueError: naming the field and its value.
    """
    for index, tenant in enumerate(record.tenants):
        for field in ("namespace", "deployment"):
            name = getattr(tenant, field)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"tenants[{index}].{field} is {name!r}; expected a name")
        for field in ("replicas", "ready"):
            count = getattr(tenant, field)
            if type(count) is not int or count < 0:
                raise ValueError(f"tenants[{index}].{field} is {count!r}; expected a whole number")
    for name in record.queues:
        if not isinstance(name, str) or not _QUEUE.fullmatch(name):
            raise ValueError(f"queues has {name!r}; expected names of queues")
    if type(record.llama_swap_replicas) is not int:
        raise ValueError(
            f"llama_swap_replicas is {record.llama_swap_replicas!r}; expected a whole number"
        )
    if type(record.given_back) is not bool:
        raise ValueError(f"given_back is {record.given_back!r}; expected true or false")


def parse_time(text: str) -> float:
    """Parse a time of Kubernetes into seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def time_text(moment: float) -> str:
    """Format a time as Kubernetes does, with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:26] + "Z"
