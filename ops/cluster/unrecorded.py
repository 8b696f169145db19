"""Find the objects that a plan would create although they exist: the state lacks them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llama_swap_config.cluster.terraform_names import KINDS
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.object_states import claim_of, is_terminating
from ops.cluster.paths import object_path
from ops.errors import OpsError
from ops.report.terminal import Say
from ops.terraform.adoption import Adoption
from ops.terraform.changes import ResourceChange
from ops.terraform.run import SavedPlan
from ops.terraform.verdict import (
    Verdict,
    exists_already,
    has_label,
    is_ours,
    refusal,
)

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """Objects that a plan would create, although they exist."""

    adoption: Adoption
    """Those of this stack."""
    foreign: tuple[ResourceChange, ...]
    """What the plan would do at the addresses of the others."""
    objects: Mapping[str, Document]
    """Address -> the object that exists."""
    holders: Mapping[str, str] = field(default_factory=dict)
    """Address of a volume of others -> the claim that it is bound to: `llama-cpp/models`."""

    def judged(self, planned: Sequence[ResourceChange], judge: Callable[..., Verdict]) -> Verdict:
        """Judge a plan as it will be once these objects are imported.

        Args:
            planned: What a plan without import blocks would do.
            judge: Judges changes, as `ops.terraform.verdict.judge`.
        """
        verdict = judge(self.adoption.predict(planned))
        # What a refused plan would create is its least problem.
        if verdict.refused:
            return verdict
        refused = [
            exists_already(change, bound_to=self.holders.get(change.address))
            for change in self.foreign
        ]
        return replace(verdict, refused=tuple(refused))


def find(
    plan: SavedPlan, target: KubeTarget, *, say: Say | None = None, timeout_s: float = 60
) -> Unrecorded:
    """Look in the cluster for each object that a plan would create.

    An object that is being deleted does not count.

    Args:
        plan: Made without import blocks.
        target: The cluster.
        say: Receives a line; then wait until no such object is being deleted (default: do not
            wait).
        timeout_s: Seconds to wait.

    Raises:
        OpsError: if the API server refuses or does not answer, or an object is still being
            deleted.
    """
    wanted = list(_wanted(plan.changes))
    if not wanted:
        return Unrecorded(adoption=Adoption(changes=()), foreign=(), objects={})
    with KubeApi(target) as api:
        there: dict[str, ResourceChange] = {}
        objects: dict[str, Document] = {}
        for change, path in wanted:
            found = api.get(path)
            if found is not None and is_terminating(found):
                found = None if say is None else _after_deletion(api, change, path, say, timeout_s)
            if found is not None:
                there[change.address] = change
                objects[change.address] = found
    holders = dict(_bound_elsewhere(plan.changes, objects))
    ours = {
        address: change
        for address, change in there.items()
        if has_label(objects[address]["metadata"].get("labels") or {}) and address not in holders
    }
    return Unrecorded(
        adoption=Adoption(
            changes=tuple(ours.values()),
            vanished=plan.vanished,
            recorded=_recorded(plan.changes, ours.values()),
        ),
        foreign=tuple(change for address, change in there.items() if address not in ours),
        objects=objects,
        holders=holders,
    )


def _bound_elsewhere(
    planned: Iterable[ResourceChange], objects: Mapping[str, Document]
) -> Iterator[tuple[str, str]]:
    """Find the volumes that belong to another claim than the planned one: address -> claim."""
    claims = {
        spec.get("volume_name"): f"{change.namespace}/{change.name}"
        for change in planned
        if change.kind == "PersistentVolumeClaim"
        for spec in change.after.get("spec") or ()
    }
    for address, found in objects.items():
        holder = claim_of(found)
        if holder and holder != claims.get(found["metadata"]["name"]):
            yield address, holder


def _recorded(planned: Iterable[ResourceChange], ours: Iterable[ResourceChange]) -> dict[str, str]:
    """Find the addresses of ours at which the state has these very objects, and would delete them.

    What somebody else wrote into the state is never moved: that is a take-over.
    """
    ends = {
        change.identity: change.address
        for change in planned
        if change.action == "delete" and is_ours(change)
    }
    return {change.address: ends[change.identity] for change in ours if change.identity in ends}


def _wanted(changes: Iterable[ResourceChange]) -> Iterator[tuple[ResourceChange, str]]:
    """List the creations that may meet an object, each with the object's path."""
    for change in changes:
        kind = KINDS.get(change.type)
        if kind is None or not (change.action == "create" or _makes_another(change)):
            continue
        metadata = {"name": change.name} | (
            {"namespace": change.namespace} if change.namespace else {}
        )
        yield change, object_path({"apiVersion": kind[0], "kind": kind[1], "metadata": metadata})


def _makes_another(change: ResourceChange) -> bool:
    """Whether a replacement makes an object of another name, which may exist."""
    if change.action != "replace" or refusal(change) is not None:
        return False
    before = change.metadata_before
    return (before.get("namespace") or "", before.get("name")) != (change.namespace, change.name)


def _after_deletion(
    api: KubeApi, change: ResourceChange, path: str, say: Say, timeout_s: float
) -> Document | None:
    """Wait until an object is gone; return what has its name then."""
    where = f"{change.kind} {change.namespace and f'{change.namespace}/'}{change.name}"
    say(f"{where} is being deleted; waiting for its end")
    deadline = time.monotonic() + timeout_s
    while (found := api.get(path)) is not None and is_terminating(found):
        if time.monotonic() > deadline:
            waits = ", ".join(found["metadata"].get("finalizers") or ("its own pods",))
            raise OpsError(
                f"{where} is still being deleted after {timeout_s:.3g} s (it waits for {waits}); "
                "nothing was changed. Deploy again when it is gone"
            )
        time.sleep(_LOOK_EVERY_S)
    return found
