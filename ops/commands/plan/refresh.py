"""Compare Terraform's plan with the predicted one; differences are those of cluster and base.

Read-only, without a lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ops.cluster import environment, unrecorded
from ops.cluster.environment import KubeTarget
from ops.commands.plan.objects import ObjectChange
from ops.errors import OpsError
from ops.report.terminal import Say
from ops.terraform.changed_fields import changed_paths, forcing_paths
from ops.terraform.changes import Action, ResourceChange, has_several_pools, label
from ops.terraform.manifests import field_path
from ops.terraform.program import Program
from ops.terraform.run import Terraform
from ops.terraform.state_owner import OtherToolError
from ops.terraform.synth import Synthesized
from ops.terraform.verdict import Verdict, judge

_UNKNOWN = "Whether objects exist that the state lacks is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An object for which Terraform's plan and the two syntheses differ."""

    address: str
    kind: str
    name: str
    reason: str
    fields: tuple[str, ...]
    """The fields that differ in the cluster, as Kubernetes spells them; empty: all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a refreshed plan needs."""

    program: Program
    target: KubeTarget


def check_environment(say: Say) -> Access:
    """Require Terraform or OpenTofu, its state and the cluster.

    Args:
        say: Receives a line while OpenTofu is built.

    Raises:
        OpsError: naming what is missing.
    """
    program = environment.check_terraform(say)
    environment.check_postgresql()
    return Access(program=program, target=environment.check_cluster())


def real_verdict(synthesized: Synthesized, access: Access, *, say: Say) -> Verdict:
    """Let Terraform plan the head, with the environment's state and cluster.

    Args:
        synthesized: The head.
        access: Plans, and finds objects that the state lacks.
        say: Receives a line for the operator.

    Raises:
        OpsError: if Terraform cannot plan, or the other tool wrote the state.
    """
    terraform = Terraform(synthesized.directory, program=access.program)
    try:
        note = terraform.init()
    except OtherToolError as error:
        # Its directory is gone when this command has ended.
        raise OpsError(
            f"{error.reason}; `python -m ops deploy` says how to move the state"
        ) from error
    if note:
        say(note)
    with terraform.saved_plan(lock=False) as plan:
        verdict = judge(plan.changes, protected=plan.protected)
        if plan.protected:
            return verdict
        try:
            found = unrecorded.find(plan, access.target)
        except OpsError as error:
            return replace(verdict, note=f"{_UNKNOWN} ({error}).")
    foreseen = found.judged(plan.changes, judge)
    if foreseen.refused or not found.adoption.changes:
        return foreseen
    moves = found.adoption.moves
    imports = [change for change in found.adoption.imports if change.address not in moves]
    with terraform.saved_plan(lock=False, imports=imports) as plan:
        return judge(found.adoption.predict(plan.changes), protected=plan.protected)


def disagreements(
    predicted: tuple[ObjectChange, ...], real: tuple[ResourceChange, ...]
) -> Iterator[Disagreement]:
    """Compare the two syntheses with Terraform's plan, address by address.

    Args:
        predicted: From the two syntheses.
        real: From Terraform, unchanged objects included.
    """
    several = has_several_pools(real)
    by_address = {change.address: change for change in real if change.action != "no-op"}
    expected = {change.address: change for change in predicted}
    for address, change in by_address.items():
        prediction = expected.get(address)
        paths = _paths(change)
        if prediction is None:
            name = label(change.namespace, change.name, several=several)
            yield _disagreement(change, name, _unasked(change.action), tuple(paths.values()))
            continue
        known = {field.path for field in prediction.fields}
        extra = tuple(
            kubernetes_path
            for path, kubernetes_path in paths.items()
            if not any(_touch(path, field) for field in known)
        )
        if change.action == "import":
            yield _disagreement(change, prediction.label, _unasked(change.action), extra)
        elif change.action != prediction.action:
            reason = (
                f"this branch would {prediction.action} it, Terraform would {change.action} it"
            )
            yield _disagreement(change, prediction.label, reason, extra)
        elif extra:
            reason = "also differs in the cluster where this branch does not touch it"
            yield _disagreement(change, prediction.label, reason, extra)
    for address, prediction in expected.items():
        if address not in by_address:
            reason = "this branch changes it, but the cluster already has the change"
            yield _disagreement(prediction, prediction.label, reason)


def _paths(change: ResourceChange) -> dict[str, str]:
    """The fields that Terraform would change: its path without indexes -> Kubernetes'."""
    if change.action in ("import", "update"):
        return changed_paths(change)
    return {".".join(parts): field_path(parts) for parts in forcing_paths(change)}


def _disagreement(
    change: ObjectChange | ResourceChange, name: str, reason: str, fields: tuple[str, ...] = ()
) -> Disagreement:
    return Disagreement(
        address=change.address,
        kind=change.kind,
        name=name,
        reason=reason,
        fields=fields,
    )


def _unasked(action: Action) -> str:
    if action == "import":
        return "exists in the cluster, and the state lacks it; a deploy imports it"
    if action == "create":
        return "is missing in the cluster although this branch does not add it"
    if action in ("delete", "forget"):
        return "is in the state, and in neither the base nor this branch"
    return "differs in the cluster although this branch does not touch it"


def _touch(path: str, other: str) -> bool:
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
