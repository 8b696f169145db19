"""Deployments and StatefulSets."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
KINDS = tuple(_PLURALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A Deployment or a StatefulSet."""

    kind: str
    """One of `KINDS`."""
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """Its path in the API."""
        plural = _PLURALS[self.kind]
        return f"/apis/apps/v1/namespaces/{quote(self.namespace)}/{plural}/{quote(self.name)}"


def parse_workload(text: str) -> Workload:
    """Parse `KIND/NAMESPACE/NAME`.

    Raises:
        ValueError: when it has another form.
    """
    kind, *rest = text.split("/")
    if kind not in KINDS or len(rest) != 2 or not all(rest):
        kinds = " or ".join(KINDS)
        raise ValueError(f"{text!r} is not a workload; expected KIND/NAMESPACE/NAME, KIND {kinds}")
    namespace, name = rest
    return Workload(kind=kind, namespace=namespace, name=name)
