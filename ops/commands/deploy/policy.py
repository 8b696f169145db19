"""What a deploy removes, imports and refuses of the objects that it finds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ops.cluster.unrecorded import Unrecorded
from ops.terraform.adoption import Adoption
from ops.terraform.changes import ResourceChange
from ops.terraform.verdict import NAMED_ONLY, Verdict, judge


class Policy(Protocol):
    """What is imported, what the state forgets, and what is refused."""

    @property
    def options(self) -> dict[str, Collection[str]]:
        """The addresses that options name, such as those of --allow-removal."""

    def judge(
        self,
        changes: tuple[ResourceChange, ...],
        *,
        protected: Collection[str] = (),
        adoption: Adoption | None = None,
    ) -> Verdict:
        """Judge a plan.

        Args:
            changes: What it would do.
            protected: The addresses at which `prevent_destroy` stopped it (default: none).
            adoption: What its blocks import and forget (default: it has none).
        """

    def adoption(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Adoption:
        """Return what to import and to forget.

        Args:
            found: What exists and the state lacks.
            planned: The plan without blocks.
        """

    def foresee(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Verdict:
        """Judge a plan without blocks as it will be with them.

        Args:
            found: What exists and the state lacks.
            planned: The plan without blocks.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary(Policy):
    """A deploy imports what is this stack's and refuses what is not."""

    allow_removal: Collection[str] = ()
    """Addresses that the deploy may remove."""
    named_only: Collection[str] = NAMED_ONLY
    """The kinds of this stack that only `allow_removal` removes."""

    @property
    def options(self) -> dict[str, Collection[str]]:
        """The addresses that --allow-removal names."""
        return {"--allow-removal": self.allow_removal}

    def judge(
        self,
        changes: tuple[ResourceChange, ...],
        *,
        protected: Collection[str] = (),
        adoption: Adoption | None = None,
    ) -> Verdict:
        """Judge a plan by what it removes."""
        return judge(
            changes,
            protected=protected,
            allowed=self.allow_removal,
            named_only=self.named_only,
        )

    def adoption(
        self,
        found: Unrecorded,
        planned: tuple[ResourceChange, ...],
    ) -> Adoption:
        """Import what is this stack's."""
        return found.adoption

    def foresee(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Verdict:
        """Refuse objects of others, too."""
        return found.judged(planned, self.judge)
