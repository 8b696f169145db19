"""What applying a plan would do, and which removals a deploy refuses.

A namespace takes all its objects along, a volume the access to the weights, and an object that
this stack did not make belongs to somebody else. A deploy removes these only by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llama_swap_config.cluster.labels import APP
from ops.terraform.changes import VERBS, ResourceChange

LABEL = "app.kubernetes.io/part-of"
"""The label of every object of this stack; its value is `APP`."""
NAMED_ONLY = ("Namespace", "PersistentVolume", "PersistentVolumeClaim")
"""The kinds that a deploy removes only by name, even those of this stack."""
_OUR_ADDRESS = re.compile(r"kubernetes_\w+_v1\.[a-z0-9_-]+_[0-9A-F]{8}", re.ASCII)
"""cdktf ends every address with eight digits of a hash; nobody writes that by hand."""


_BY_NAME = "Pass --allow-removal ADDRESS for each object that may go."
_BY_SETTINGS = "Set prevent_destroy to false in stacks/production.py for this deploy."
_BY_ADOPT = (
    "`python -m ops adopt` takes over an endpoint that runs already; first it shows what it would "
    "change."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One change that a deploy refuses."""

    change: ResourceChange
    reason: str
    """Why it is refused, such as `not made by this stack`."""
    remedy: str
    """What to do, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What Terraform would do, and what a deploy refuses of it."""

    changes: tuple[ResourceChange, ...]
    """All resources, unchanged ones included."""
    refused: tuple[Refused, ...]
    is_whole: bool = True
    """Whether Terraform planned to the end. At `prevent_destroy` it stops, and the objects that
    depend on the guarded one are missing."""
    note: str = ""
    """What is not known of this plan."""

    @property
    def planned(self) -> tuple[ResourceChange, ...]:
        """The changes that an apply would make, refused ones first."""
        first = {refused.change.address for refused in self.refused}
        planned = [change for change in self.changes if change.action != "no-op"]
        return tuple(sorted(planned, key=lambda change: change.address not in first))

    @property
    def counts(self) -> dict[str, int]:
        """Number of refused objects, and of changes by verb.

        An import that changes its object counts as a change, too, as Terraform counts.
        """
        actions = Counter(change.action for change in self.changes)
        actions["update"] += sum(change.changes_import for change in self.changes)
        return {"refused": len(self.refused)} | {
            verb: actions[action] for action, verb in VERBS.items()
        }

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do about the refusals, without repetitions."""
        return tuple(dict.fromkeys(refused.remedy for refused in self.refused))

    @property
    def headline(self) -> str:
        """The counts in one line; refused, imported and forgotten ones only if there are any."""
        refused, *counts = self.counts.items()
        rare = (VERBS["import"], VERBS["forget"])
        always = [f"{number} to {verb}" for verb, number in counts if number or verb not in rare]
        return (f"{refused[1]} refused; " if self.refused else "") + ", ".join(always)


def judge(
    changes: tuple[ResourceChange, ...],
    *,
    protected: Collection[str] = (),
    allowed: Collection[str] = (),
    named_only: Collection[str] = NAMED_ONLY,
    taken_over: Collection[str] = (),
) -> Verdict:
    """Find the changes that a deploy refuses.

    Args:
        changes: What Terraform plans.
        protected: The addresses at which `prevent_destroy` stopped the plan; `allowed` does not
            override it (default: none).
        allowed: The addresses that may be removed (default: none). They do not cover forgotten
            objects, which would stay without anything that knows them.
        named_only: The kinds of this stack that only `allowed` removes (default: NAMED_ONLY).
        taken_over: The addresses of others in the state that the plan forgets because this stack
            takes their objects over or leaves them (default: none).
    """
    refused = []
    for change in changes:
        reason, remedy = refusal(change, named_only), _BY_NAME
        if change.address in protected:
            reason, remedy = "prevent_destroy is true in the settings", _BY_SETTINGS
        elif change.address in taken_over:
            reason = None
        elif change.action == "forget":
            remedy = _BY_ADOPT
        elif change.address in allowed:
            reason = None
        elif change.action == "delete" and not is_ours(change):
            remedy = f"{_BY_ADOPT} {_BY_NAME}"
        if reason is not None:
            refused.append(Refused(change=change, reason=reason, remedy=remedy))
    return Verdict(changes=changes, refused=tuple(refused), is_whole=not protected)


def refusal(change: ResourceChange, named_only: Collection[str] = NAMED_ONLY) -> str | None:
    """Return why a deploy refuses a change; None if it does not.

    Replacing one of this stack's objects is ordinary: Jobs and their ConfigMaps are named by
    their content.
    """
    if change.action not in ("replace", "delete", "forget"):
        return None
    if change.action != "replace" and not is_ours(change):
        return "not made by this stack"
    if change.kind in named_only:
        return "a namespace, volume or claim"
    return None


def exists_already(change: ResourceChange, *, bound_to: str | None = None) -> Refused:
    """Refuse the creation of an object that exists and is not this stack's.

    Args:
        change: The creation.
        bound_to: The claim that a volume is bound to (default: none).
    """
    why = f"without the label {LABEL}={APP}" if bound_to is None else f"for claim {bound_to}"
    return Refused(change=change, reason=f"exists already, {why}", remedy=_BY_ADOPT)


def is_ours(change: ResourceChange) -> bool:
    """Whether this stack made it, by its address and its label in the state."""
    return is_ours_at(change.address, change.metadata_before.get("labels") or {})


def is_ours_at(address: str, labels: Mapping[str, str]) -> bool:
    """Whether an entry of the state is this stack's: an address of cdktf, and the label."""
    return _OUR_ADDRESS.fullmatch(address) is not None and has_label(labels)


def has_label(labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is this stack's."""
    return labels.get(LABEL) == APP
