"""What an apply of a plan would do, and what a deploy refuses to do without being told.

A namespace takes everything in it along, a volume's object the way to the weights, and what this
stack did not make belongs to somebody else: each of these has to be named before it goes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from llama_swap_config.cluster.labels import APP
from ops.terraform.changes import VERBS, ResourceChange

NAMED_ONLY = ("Namespace", "PersistentVolume", "PersistentVolumeClaim")
"""The kinds that a deploy removes only by name, ours included."""
_OUR_ADDRESS = re.compile(r"kubernetes_\w+_v1\.[a-z0-9_-]+_[0-9A-F]{8}", re.ASCII)
"""cdktf ends each address with eight digits of a hash; nobody writes such a name by hand."""


_BY_NAME = "Pass --allow-removal ADDRESS for each object that may go."
_BY_SETTINGS = "Set prevent_destroy to false in stacks/production.py for this deploy."
_BY_HAND = 'See docs/operating.md, "Over an endpoint that runs already".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One removal that a deploy refuses."""

    change: ResourceChange
    reason: str
    """What stands against it, such as `not made by this stack`."""
    remedy: str
    """What to do, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What Terraform would do, and what of it a deploy refuses."""

    changes: tuple[ResourceChange, ...]
    """All resources, those that stay as they are included."""
    refused: tuple[Refused, ...]
    is_whole: bool = True
    """Whether Terraform planned to the end; at `prevent_destroy` it breaks off, and what depends
    on the guarded object is missing."""

    @property
    def planned(self) -> tuple[ResourceChange, ...]:
        """The changes that an apply would make, refused ones first."""
        first = {refused.change.address for refused in self.refused}
        planned = [change for change in self.changes if change.action != "no-op"]
        return tuple(sorted(planned, key=lambda change: change.address not in first))

    @property
    def counts(self) -> dict[str, int]:
        """How many are refused, and how many Terraform would touch in which way."""
        actions = Counter(change.action for change in self.changes)
        return {"refused": len(self.refused)} | {
            verb: actions[action] for action, verb in VERBS.items()
        }

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do about the refusals, each sentence once."""
        return tuple(dict.fromkeys(refused.remedy for refused in self.refused))

    @property
    def headline(self) -> str:
        """The counts in one line; what is refused or forgotten only where there is any."""
        refused, *counts = self.counts.items()
        always = [f"{number} to {verb}" for verb, number in counts if number or verb != "forget"]
        return (f"{refused[1]} refused; " if self.refused else "") + ", ".join(always)


def judge(
    changes: tuple[ResourceChange, ...],
    *,
    protected: Collection[str] = (),
    allowed: Collection[str] = (),
) -> Verdict:
    """Find the removals that a deploy refuses.

    Args:
        changes: What Terraform plans.
        protected: The addresses for which `prevent_destroy` made Terraform give the plan up; no
            allowance lifts that.
        allowed: The addresses whose removal the operator named. They do not cover what would be
            forgotten: its object stays, and then nothing knows it.
    """
    refused = []
    for change in changes:
        reason, remedy = refusal(change), _BY_NAME
        if change.address in protected:
            reason, remedy = "prevent_destroy is true in the settings", _BY_SETTINGS
        elif change.action == "forget":
            remedy = _BY_HAND
        elif change.address in allowed:
            reason = None
        if reason is not None:
            refused.append(Refused(change=change, reason=reason, remedy=remedy))
    return Verdict(changes=changes, refused=tuple(refused), is_whole=not protected)


def refusal(change: ResourceChange) -> str | None:
    """Say why a deploy refuses a change; None where it does not.

    A replacement within our own addresses is ordinary: Jobs and their ConfigMaps are named by
    their content.
    """
    if change.action not in ("replace", "delete", "forget"):
        return None
    if change.action != "replace" and not _is_ours(change):
        return "not made by this stack"
    if change.kind in NAMED_ONLY:
        return "a namespace, volume or claim"
    return None


def _is_ours(change: ResourceChange) -> bool:
    """Whether a version of this stack made it, by its address and its label in the state."""
    labels = change.metadata_before.get("labels") or {}
    return bool(
        _OUR_ADDRESS.fullmatch(change.address) and labels.get("app.kubernetes.io/part-of") == APP
    )
