"""What is known of one thing that a deploy needs in the cluster or the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ops.cluster.api import Document, KubeApi, UnreachableError
from ops.cluster.environment import KubeTarget
from ops.errors import OpsError
from ops.terraform.manifests import Manifest
from stacks.settings import Settings

Status = Literal["ok", "wrong", "not known"]
Verdict = Literal["ok", "hint", "not known", "blocks"]
EDIT = "in stacks/production.py"
"""Where a remedy that is a setting goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked for."""

    name: str
    found: str
    """What the check found; empty if `remedy` alone says what is wrong or why it is not known."""
    wanted: str
    status: Status = "ok"
    is_needed: bool = True
    """Whether a deploy fails, or its endpoint does not work, if this is not ok."""
    remedy: str = ""
    """What to do if it is not ok, or why it is not known."""

    @property
    def verdict(self) -> Verdict:
        """The word for the operator."""
        if self.status == "wrong":
            return "blocks" if self.is_needed else "hint"
        return self.status

    @property
    def blocks(self) -> bool:
        """Whether a deploy does not work because of it, as far as is known."""
        return self.is_needed and self.status != "ok"

    @property
    def advice(self) -> str:
        """What is wrong or not known, and what to do, in one line."""
        if self.status == "not known":
            return f"{self.name}: not known, because {self.remedy}"
        if not self.found:
            return self.remedy
        return f"{self.name}: {self.found}; expected {self.wanted}. {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that answers, and what a deploy puts into it."""

    api: KubeApi
    target: KubeTarget
    settings: Settings
    objects: tuple[Manifest, ...]
    """Those of the synthesized stack; of several pools, this one's."""
    first: Settings | None = None
    """The first pool's settings, where this is a further pool."""

    def items(self, path: str) -> list[Document]:
        """Return the objects of a list; none if the API server has no such kind.

        Raises:
            OpsError: if the API server refuses or does not answer.
        """
        items: list[Document] = (self.api.get(path) or {}).get("items") or []
        return items


def made(name: str, checks: Iterable[Check], *, is_needed: bool = True) -> Iterator[Check]:
    """Make checks; what the account may not see is not known.

    Args:
        name: What is not known then.
        checks: Made one by one as this asks for them.
        is_needed: As in `Check`.

    Raises:
        UnreachableError: if the API server does not answer.
    """
    try:
        yield from checks
    except UnreachableError:
        raise
    except OpsError as error:
        yield not_known(name, str(error), is_needed=is_needed)


def not_known(name: str, reason: str, *, is_needed: bool = True) -> Check:
    """Return a check that cannot be made."""
    return Check(
        name=name, found="", wanted="", status="not known", is_needed=is_needed, remedy=reason
    )
