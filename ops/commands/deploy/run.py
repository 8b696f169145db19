"""Deploy the stack with Terraform: the plan that is shown is the plan that is applied."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection

from ops.cluster import environment
from ops.cluster.workloads import Cluster, Workload
from ops.errors import OpsError, RefusedError
from ops.report.terminal import Say
from ops.terraform.run import SavedPlan, StalePlanError, Terraform
from ops.terraform.synth import Synthesized, synthesize
from ops.terraform.verdict import Verdict, judge

Show = Callable[[SavedPlan, Verdict], None]
_MOST_PLANS = 5
"""Plans of one deploy; each further one follows on an apply of somebody else."""


def namespace_of(synthesized: Synthesized) -> str:
    """The namespace that a synthesized stack deploys into."""
    namespaces = synthesized.document["resource"]["kubernetes_namespace_v1"]
    (only,) = namespaces.values()
    name: str = only["metadata"]["name"]
    return name


def deploy(
    *, show: Show, approve: Callable[[], bool], allow_removal: Collection[str] = (), say: Say
) -> tuple[Workload, ...]:
    """Check the environment, plan, apply that plan, verify, and look at what runs.

    Args:
        show: Shows each plan that is made, also one that is refused.
        approve: Says whether to apply the plan that was shown last.
        allow_removal: Addresses that may be removed although a deploy refuses that.
        say: Takes a line for the operator.

    Returns:
        What is in the namespace afterwards; what waits has a reason.

    Raises:
        RefusedError: when the plan removes what nobody named; nothing was changed.
        OpsError: when a check or Terraform fails, or the plan after the apply is not empty.
    """
    environment.check_terraform()
    environment.check_postgresql()
    target = environment.check_cluster()
    synthesized = synthesize()
    terraform = Terraform(synthesized.directory)
    terraform.init()
    if terraform.push_empty_state():
        say("a new schema: its state starts empty, so no other stack waits for this apply")
    apply_as_shown(terraform, show=show, approve=approve, allow_removal=allow_removal, say=say)
    verify(terraform)
    with Cluster(target) as cluster:
        return cluster.workloads(namespace_of(synthesized))


def apply_as_shown(
    terraform: Terraform,
    *,
    show: Show,
    approve: Callable[[], bool],
    allow_removal: Collection[str] = (),
    quiet: bool = False,
    say: Say,
) -> None:
    """Plan, show, and apply that plan; plan again when somebody else applied meanwhile.

    Args:
        terraform: The stack, initialised.
        show: As for `deploy`.
        approve: As for `deploy`; not asked where nothing changes.
        allow_removal: As for `deploy`.
        quiet: Whether to keep Terraform's progress back.
        say: Takes a line for the operator.

    Raises:
        RefusedError: when the plan removes what nobody named; nothing was changed.
        OpsError: when it is not approved, or Terraform fails.
    """
    terraform.check_state_is_written()
    for _ in range(_MOST_PLANS):
        with terraform.saved_plan() as plan:
            verdict = judge(plan.changes, protected=plan.protected, allowed=allow_removal)
            for address in sorted(set(allow_removal) - {each.address for each in verdict.planned}):
                say(f"--allow-removal {shlex.quote(address)}: this plan does not touch it")
            show(plan, verdict)
            check_refused(verdict)
            if not verdict.planned:
                return
            if not approve():
                raise OpsError("not approved; nothing was changed")
            try:
                plan.apply(quiet=quiet)
            except StalePlanError as error:
                say(f"{error}; planning again")
                continue
            return
    raise OpsError(f"others keep applying to this state ({_MOST_PLANS} plans were stale)")


def check_refused(verdict: Verdict) -> None:
    """Refuse a plan that removes what has to be named.

    Raises:
        RefusedError: with the addresses, and what to do.
    """
    if not verdict.refused and verdict.is_whole:
        return
    groups: dict[str, dict[str, list[str]]] = {}
    for refused in verdict.refused:
        verb = "forget" if refused.change.action == "forget" else "remove"
        addresses = groups.setdefault(f"would {verb}", {}).setdefault(refused.reason, [])
        addresses.append(refused.change.address)
    listed = "; ".join(
        f"{verb} " + ", ".join(f"{', '.join(of)} ({reason})" for reason, of in reasons.items())
        for verb, reasons in groups.items()
    )
    raise RefusedError(
        f"refused, and nothing was changed: this deploy {listed}. {' '.join(verdict.remedies)} "
        'docs/operating.md, "What a deploy refuses", has the rules'
    )


def verify(terraform: Terraform) -> None:
    """Require that state, cluster and stack agree.

    Raises:
        OpsError: when a plan still finds changes.
    """
    if judge(terraform.changes()).planned:
        raise OpsError(
            "the deploy is not complete: a plan after it still finds changes; "
            "see `python -m ops plan --refresh`, then deploy again"
        )
