"""The record of what to restore, written into the Lease before anything is scaled."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, cast

from ..kubernetes.times import parse_time, time_text
from ..kubernetes.workload import KINDS, Workload
from .contract import ANNOTATION, BAD_DATA, ENDPOINT_REPLICAS, LEASE, MAX_REPLICAS
from .errors import WindowError

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_QUEUE = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant before the window."""

    kind: str
    namespace: str
    name: str
    replicas: int
    """Its replicas before the window."""
    ready: int
    """Ready replicas before the window; the others may never have been scheduled."""

    def __str__(self) -> str:
        return str(self.workload)

    @property
    def workload(self) -> Workload:
        """Which workload it is."""
        return Workload(kind=self.kind, namespace=self.namespace, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What to restore."""

    deadline: float
    """By the API server's clock, in seconds since 1970."""
    tenants: tuple[Tenant, ...] = ()
    endpoint_replicas: int = ENDPOINT_REPLICAS
    """The endpoint's replicas before the window."""
    queues: tuple[str, ...] = ()
    """Immich's queues that the window paused. The record has no address of Immich: whoever can
    change it would get the API key."""
    given_back: bool = False
    """Whether all workloads have their replicas again and only the queues remain."""

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
        document = _of_this_version(json.loads(cast("str", text)))
        record = Record(
            **document
            | {
                "deadline": parse_time(document["deadline"]),
                "tenants": tuple(Tenant(**tenant) for tenant in document["tenants"]),
                "queues": tuple(document["queues"]),
            }
        )
        _check(record)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = " ".join(str(error).split())[:120]
        raise WindowError(
            f"the record of the Lease {LEASE} is damaged ({ANNOTATION}: {reason}). Scale the "
            "tenants by hand, resume Immich's queues, then delete the Lease.",
            BAD_DATA,
        ) from error
    return record


def _of_this_version(document: Any) -> Any:
    """Turn a record of the version before `sharing` into one of this version."""
    if not isinstance(document, dict) or "llama_swap_replicas" not in document:
        return document
    renamed = {"llama_swap_replicas": "endpoint_replicas"}
    return {renamed.get(name, name): value for name, value in document.items()} | {
        "tenants": [
            {"kind": "Deployment"}
            | {{"deployment": "name"}.get(name, name): value for name, value in tenant.items()}
            for tenant in document["tenants"]
        ]
    }


def _check(record: Record) -> None:
    """Check the fields that a request or a comparison uses.

    Raises:
        ValueError: naming the field and its value.
    """
    for index, tenant in enumerate(record.tenants):
        if tenant.kind not in KINDS:
            raise ValueError(f"tenants[{index}].kind is {tenant.kind!r}; expected a workload")
        for field in ("namespace", "name"):
            name = getattr(tenant, field)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"tenants[{index}].{field} is {name!r}; expected a name")
        for field in ("replicas", "ready"):
            _check_count(f"tenants[{index}].{field}", getattr(tenant, field))
    for name in record.queues:
        if not isinstance(name, str) or not _QUEUE.fullmatch(name):
            raise ValueError(f"queues has {name!r}; expected names of queues")
    _check_count("endpoint_replicas", record.endpoint_replicas)
    if type(record.given_back) is not bool:
        raise ValueError(f"given_back is {record.given_back!r}; expected true or false")


def _check_count(name: str, count: object) -> None:
    if type(count) is not int or not 0 <= count <= MAX_REPLICAS:
        raise ValueError(f"{name} is {count!r}; expected a number from 0 to {MAX_REPLICAS}")
