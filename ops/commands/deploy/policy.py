"""What a deploy removes, imports and refuses of the objects that it finds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ops.cluster.unrecorded import Unrecorded
from ops.terraform.adoption import Adoption
from ops.terraform.changes import ResourceChange
from ops.terraform.verdict import NAMED_ONLY, Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An ordinary deploy: it imports what is this stack's and refuses what is not."""

    allow_removal: Collection[str] = ()
    """Addresses that the deploy may remove."""
    named_only: Collection[str] = NAMED_ONLY
    """The kinds of this stack that only `allow_removal` removes."""

    def judge(
        self,
        changes: tuple[ResourceChange, ...],
        *,
        adoption: Adoption | None = None,
        protected: Collection[str] = (),
        foreign: Collection[str] = (),
    ) -> Verdict:
        """Judge a plan.

        Args:
            changes: What it would do.
            adoption: What it imports and forgets (default: nothing).
            protected: As for `ops.terraform.verdict.judge`.
            foreign: As for `ops.terraform.verdict.judge`.
        """
        del adoption  # Nothing of it changes the verdict of an ordinary deploy.
        return judge(
            changes,
            protected=protected,
            allowed=self.allow_removal,
            named_only=self.named_only,
            foreign=foreign,
        )

    def adoption(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Adoption:
        """Return what to import and to forget.

        Args:
            found: What exists and the state lacks.
            planned: The plan without import blocks.
        """
        del planned
        return found.adoption

    def foresee(self, found: Unrecorded, planned: tuple[ResourceChange, ...]) -> Verdict:
        """Judge a plan without import blocks as it will be with them.

        Args:
            found: What exists and the state lacks.
            planned: The plan without import blocks.
        """
        return found.judged(planned, self.judge)
