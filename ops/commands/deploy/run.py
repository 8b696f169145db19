"""Deploy the stack with Terraform: show a plan, then apply exactly that plan."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from llama_swap_config.declaration import load
from llama_swap_config.lock.stand_in import stand_in_problems
from ops.cluster import environment, rollout, unrecorded
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.pool_objects import objects_of_pools
from ops.cluster.rollout import Outcome, Rollout
from ops.commands.deploy.policy import Ordinary, Policy
from ops.embedded.cluster import is_embedded
from ops.errors import OpsError, RefusedError
from ops.report.terminal import Say
from ops.report.words import count
from ops.terraform.adoption import Adoption
from ops.terraform.manifests import Manifest, manifests
from ops.terraform.run import SavedPlan, StalePlanError, Terraform
from ops.terraform.synth import synthesize
from ops.terraform.verdict import Verdict, judge
from stacks.pools import settings_of_pools
from stacks.settings import Settings

Show = Callable[[SavedPlan, Verdict], None]
_ORDINARY = Ordinary()
_MOST_PLANS = 5
"""Plans in one deploy; another plan follows only after somebody else's apply."""


def deploy(
    settings: Settings,
    *,
    show: Show,
    approve: Callable[[], bool],
    policy: Policy = _ORDINARY,
    wait_s: float,
    say: Say,
) -> Outcome:
    """Check the environment, plan, apply that plan, verify it, and follow what it changed.

    Args:
        settings: The settings that the stack is synthesized from.
        show: Shows each plan, including a refused one.
        approve: Returns whether to apply the plan shown last.
        policy: What it removes, imports and refuses (default: it allows no removal).
        wait_s: The longest wait, in seconds, for the endpoint to serve.
        say: Receives a line for the operator.

    Returns:
        What the objects wait for, and what has failed.

    Raises:
        RefusedError: as for `apply_as_shown`; nothing was changed.
        OpsError: when a check or Terraform fails, a model's files are stand-ins and the cluster
            is not embedded, a plan after the apply finds changes, or the API server does not say
            what runs.
    """
    program = environment.check_terraform(say)
    environment.check_postgresql()
    target = environment.check_cluster()
    _check_files_are_real(target)
    synthesized = synthesize()
    terraform = Terraform(synthesized.directory, program=program)
    if terraform.init_for_apply(say=say):
        say("stored an empty state in the new schema, so that no other stack waits for this apply")
    apply_as_shown(
        terraform,
        target=target,
        show=show,
        approve=approve,
        policy=policy,
        say=say,
    )
    verify(terraform)
    with KubeApi(target) as api:
        return follow(api, manifests(synthesized.document), settings, wait_s=wait_s, say=say)


def follow(
    api: KubeApi, objects: Sequence[Manifest], settings: Settings, *, wait_s: float, say: Say
) -> Outcome:
    """Follow applied objects until the endpoint of each pool serves, waits or has failed.

    Raises:
        OpsError: if the API server does not say.
    """
    pools = settings_of_pools(settings)
    divided = objects_of_pools(objects, [pool.namespace for pool in pools])
    rollouts = [
        Rollout(
            api,
            of_pool,
            resource=pool.gpu.resource,
            tenants=pool.tenants,
            node_selector=pool.gpu.node_selector if len(pools) > 1 else None,
        )
        for pool, of_pool in zip(pools, divided, strict=True)
    ]
    try:
        return rollout.follow(rollouts, wait_s=wait_s, say=say)
    except (KeyboardInterrupt, SystemExit):
        with suppress(OSError):  # The terminal may be closed.
            say("interrupted; everything is applied, and whether the endpoint serves is not known")
        raise
    except OpsError as error:
        raise OpsError(
            f"everything is applied, and whether the endpoint serves is not known: {error}"
        ) from error


def _check_files_are_real(target: KubeTarget) -> None:
    problems = stand_in_problems(load().locked)
    if problems and not is_embedded(target.config_path, target.context):
        raise OpsError(problems[0])


def apply_as_shown(
    terraform: Terraform,
    *,
    target: KubeTarget | None = None,
    show: Show,
    approve: Callable[[], bool],
    policy: Policy = _ORDINARY,
    quiet: bool = False,
    say: Say,
) -> None:
    """Show a plan and apply it; make a new plan if somebody else applied in between.

    Args:
        terraform: The initialised stack.
        target: The cluster, whose objects of this stack are imported if the state lacks them
            (default: do not look).
        show: As for `deploy`.
        approve: As for `deploy`; not called for a plan without changes.
        policy: As for `deploy`.
        quiet: Whether to hide Terraform's progress (default: show it).
        say: Receives a line for the operator.

    Raises:
        RefusedError: when the policy refuses the plan; nothing was changed.
        OpsError: when the plan is not approved, another deploy does not end, or Terraform fails.
    """
    terraform.check_state_is_written()
    for _ in range(_MOST_PLANS):
        terraform.wait_for_lock(say=say)
        with (
            ExitStack() as moved,
            _plan(terraform, target, policy, moved=moved, say=say) as (plan, verdict),
        ):
            planned = {change.address for change in verdict.planned}
            for option, addresses in policy.options.items():
                for address in sorted(set(addresses) - planned):
                    say(f"{option} {shlex.quote(address)}: the plan does not change it")
            show(plan, verdict)
            check_refused(verdict)
            if not verdict.planned:
                moved.pop_all()
                return
            if not approve():
                raise OpsError("not approved; nothing was changed")
            terraform.wait_for_lock(say=say)
            moved.pop_all()
            try:
                plan.apply(quiet=quiet)
            except StalePlanError as error:
                say(f"{error}; planning again")
                continue
            return
    raise OpsError(
        f"others keep applying to this state ({_MOST_PLANS} plans were stale); retry later"
    )


@contextmanager
def _plan(
    terraform: Terraform,
    target: KubeTarget | None,
    policy: Policy,
    *,
    moved: ExitStack,
    say: Say,
) -> Iterator[tuple[SavedPlan, Verdict]]:
    """Plan; if objects exist that the state lacks, plan again so that they are imported.

    Args:
        terraform: As for `apply_as_shown`.
        target: As for `apply_as_shown`.
        policy: As for `apply_as_shown`.
        moved: Gets what moves the state's entries back.
        say: As for `apply_as_shown`.
    """
    with ExitStack() as plans:
        plan = plans.enter_context(terraform.saved_plan(with_volume_users=True))
        if target is None or plan.protected:
            yield plan, policy.judge(plan.changes, protected=plan.protected)
            return
        found = unrecorded.find(plan, target, say=say)
        adoption = policy.adoption(found, plan.changes)
        foreseen = policy.foresee(found, plan.changes)
        if foreseen.refused or adoption.is_empty:
            yield plan, foreseen
            return
        if adoption.imports:
            say(
                f"the state lacks {count(len(adoption.imports), 'object')} that the cluster has; "
                "planning their import"
            )
        for address, other in adoption.moves.items():
            say(f"moving the older entry of {address} in the state to {other}")
        moved.callback(_move_back, terraform, adoption.moves)
        terraform.move(adoption.moves)
        plan = plans.enter_context(
            terraform.saved_plan(
                with_volume_users=True,
                imports=adoption.imports,
                forgotten=adoption.to_forget,
            )
        )
        _check_blocks(plan, adoption)
        yield plan, policy.judge(plan.changes, adoption=adoption, protected=plan.protected)


def _move_back(terraform: Terraform, moves: Mapping[str, str]) -> None:
    # Where this fails, the next deploy finds the entries at their other addresses.
    with suppress(OpsError):
        terraform.move({other: address for address, other in reversed(list(moves.items()))})


def _check_blocks(plan: SavedPlan, adoption: Adoption) -> None:
    """Check that Terraform has read the blocks.

    Raises:
        OpsError: if another command in the same directory has removed them.
    """
    blocks = {change.address for change in (*adoption.imports, *adoption.to_forget)}
    if blocks & {each.address for each in plan.changes if each.action in ("create", "delete")}:
        raise OpsError(
            f"another command planned in {plan.terraform.directory} at the same time; nothing was "
            "changed. Deploy again"
        )


def check_refused(verdict: Verdict) -> None:
    """Refuse a plan with removals that nobody allowed, or with creations of others' objects.

    Raises:
        RefusedError: naming the addresses and the remedies.
    """
    if not verdict.refused and verdict.is_whole:
        return
    groups: dict[str, dict[str, list[str]]] = {}
    for refused in verdict.refused:
        change = refused.change
        verb = change.action if change.action in ("forget", "create") else "remove"
        addresses = groups.setdefault(f"would {verb}", {}).setdefault(refused.reason, [])
        where = f"{change.namespace}/{change.name}" if change.namespace else change.name
        addresses.append(
            f"{change.address} as {change.kind} {where}" if verb == "create" else change.address
        )
    listed = "; ".join(
        f"{verb} "
        + ", ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        for verb, reasons in groups.items()
    )
    raise RefusedError(
        f"refused, and nothing was changed: this deploy {listed}. {' '.join(verdict.remedies)} "
        'See docs/operating.md, "What a deploy refuses"'
    )


def verify(terraform: Terraform) -> None:
    """Check that a new plan finds no changes.

    Raises:
        OpsError: when it does.
    """
    if judge(terraform.changes()).planned:
        raise OpsError(
            "the deploy is incomplete: a new plan still finds changes. See "
            "`python -m ops plan --refresh`, then deploy again"
        )
