"""Everything that differs between two trees."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT
from llama_swap_config.cluster.labels import GATEWAY
from ops.commands.plan.budget import Budget, compare_budgets
from ops.commands.plan.consumers import ConsumerChange, consumer_changes
from ops.commands.plan.fields import FieldChange
from ops.commands.plan.models import Files, ModelChange, model_changes
from ops.commands.plan.objects import (
    ObjectChange,
    has_several_pools,
    no_longer_set,
    object_changes,
    setting_changes,
    unprotected,
)
from ops.commands.plan.pools import Move, PoolChange, moves, pool_changes, volume_changes
from ops.commands.plan.refresh import Disagreement
from ops.commands.plan.revision import Revision
from ops.commands.plan.side import Side
from ops.report.safe_text import lines
from ops.terraform.changes import Action
from ops.terraform.manifests import unescaped
from ops.terraform.verdict import NAMED_ONLY, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """Terraform's own plan, made with the state and the cluster."""

    verdict: Verdict
    disagreements: tuple[Disagreement, ...]

    @property
    def nothing_deployed(self) -> bool:
        """Whether neither the state nor the cluster has any of the objects."""
        changes = self.verdict.changes
        all_new = bool(changes) and all(change.action == "create" for change in changes)
        return all_new and not self.verdict.refused

    def action_at(self, address: str) -> Action | None:
        """What Terraform would do there; None: not known, because it stopped before."""
        return next(
            (change.action for change in self.verdict.changes if change.address == address),
            "no-op" if self.verdict.is_whole else None,
        )

    def has(self, address: str) -> bool:
        """Whether an object exists, or may exist where Terraform stopped before it."""
        for change in self.verdict.changes:
            if change.address == address:
                return change.action != "create"
        return not self.verdict.is_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All differences between base and head."""

    base: Revision
    base_problem: str | None
    """Why the base does not synthesize; None: it does."""
    problem: str | None
    """Why the head does not synthesize; None: it does."""
    objects: tuple[ObjectChange, ...]
    settings: tuple[FieldChange, ...]
    """Changes of Terraform's own settings: backend, provider."""
    unprotected: Mapping[str, str]
    """What prevent_destroy protects in the base and not in the head: address -> object."""
    no_longer_set: tuple[str, ...]
    """The fields that Terraform sets in the base and ignores in the head."""
    models: tuple[ModelChange, ...] | None
    """None: unknown for base or head."""
    files: Files | None
    """None: unknown for base or head."""
    consumers: tuple[ConsumerChange, ...] | None
    """None: unknown for base or head."""
    front_end: tuple[str, ...]
    """The diff of the front end's configuration, without secrets."""
    budget: Budget | None
    """Of the first pool; None: unknown for the head."""
    rate_mb_s: float
    pools: tuple[PoolChange, ...] = ()
    """The pools of both sides (default: neither has several)."""
    moves: tuple[Move, ...] = ()
    """The models whose homes change (default: none)."""
    refreshed: Refreshed | None = None
    """None: without --refresh."""

    @property
    def differs(self) -> bool:
        """Whether anything differs; with --refresh, also the cluster."""
        real = self.refreshed is not None and bool(self.refreshed.verdict.planned)
        moved = self.files is not None and bool(self.files.download or self.files.free)
        return bool(
            self.objects
            or self.settings
            or self.no_longer_guarded
            or self.no_longer_set
            or self.models
            or self.consumers
            or moved
            or any(pool.action != "kept" for pool in self.pools)
            or any(budget.other_engine for budget in self.budgets.values())
            or real
        )

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """Each pool's known budget; the only pool has no name."""
        if not self.pools:
            return {} if self.budget is None else {"": self.budget}
        return {pool.name: pool.budget for pool in self.pools if pool.budget is not None}

    @property
    def tightest(self) -> str | None:
        """The pool with the least spare VRAM; None: no budget is known."""
        spare = {
            name: budget.spare_mib
            for name, budget in self.budgets.items()
            if budget.spare_mib is not None
        }
        return min(spare, key=lambda name: spare[name], default=None)

    def pool_of(self, change: ObjectChange) -> str:
        """Name the pool whose object it is; empty: there is one pool, or it is of all of them."""
        names = {pool.namespace: pool.name for pool in self.pools}
        return "" if change.name == GATEWAY else names.get(change.namespace, "")

    @property
    def no_longer_guarded(self) -> tuple[str, ...]:
        """The objects that lose prevent_destroy; with --refresh, those that exist."""
        return tuple(
            name
            for address, name in self.unprotected.items()
            if self.refreshed is None or self.refreshed.has(address)
        )

    @property
    def happening(self) -> tuple[ObjectChange, ...]:
        """The changes; with --refresh, those that Terraform would make too."""
        if self.refreshed is None:
            return self.objects
        return tuple(
            change
            for change in self.objects
            if self.refreshed.action_at(change.address) in (change.action, None)
        )

    @property
    def refused(self) -> tuple[ObjectChange, ...]:
        """The objects for which Terraform refuses the whole plan, where they are deployed."""
        return tuple(change for change in self.happening if change.refused)

    @property
    def named_only(self) -> tuple[ObjectChange, ...]:
        """The objects that Terraform would remove, and `ops deploy` only by name."""
        return tuple(
            change
            for change in self.happening
            if change.kind in NAMED_ONLY
            and change.action in ("replace", "delete")
            and not change.refused
        )


def compare(base: Side, head: Side, *, revision: Revision, rate_mb_s: float) -> Comparison:
    """Compare two sides.

    Args:
        base: The side before; it is empty if it does not synthesize.
        head: The side after; if it does not synthesize, only the budget is compared.
        revision: The commit of the base.
        rate_mb_s: Download rate in MB/s.
    """
    old, new = base.document, head.document
    there = None if base.models is None and old else base.models or ()
    known = there is not None and head.models is not None
    asking = None if base.consumers is None and old else base.consumers or ()
    models_before, models_after = there or (), head.models or ()
    pools = (base.pools, head.pools)
    # Whose models are where is not known of a side that declares a home wrongly.
    known_pools = all(pools) or max(map(len, pools)) < 2
    files = volume_changes(
        base.pools, head.pools, models_before=models_before, models_after=models_after
    )
    return Comparison(
        base=revision,
        base_problem=base.problem,
        problem=head.problem,
        objects=object_changes(old, new) if new else (),
        settings=setting_changes(old, new) if new else (),
        unprotected=unprotected(old, new) if new else {},
        no_longer_set=no_longer_set(old, new) if new else (),
        models=model_changes(models_before, models_after) if known else None,
        files=files if known and (known_pools or not models_before) else None,
        consumers=(
            None
            if asking is None or head.consumers is None
            else consumer_changes(asking, head.consumers)
        ),
        front_end=_front_end(old, new) if new else (),
        budget=None if head.fit is None else compare_budgets(base.fit, head.fit),
        rate_mb_s=rate_mb_s,
        pools=pool_changes(base.pools, head.pools) if head.pools else (),
        moves=tuple(
            moves(
                base.pools,
                head.pools,
                models_before=models_before,
                models_after=models_after,
                files=files,
            )
            if known_pools
            else ()
        ),
    )


def _front_end(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    several = has_several_pools(before, after)
    old, new = (_configurations(document, several=several) for document in (before, after))
    diffs: list[str] = []
    for key in sorted({*old, *new}):
        was, now = (lines(texts[key]) if key in texts else [] for texts in (old, new))
        diff = list(difflib.unified_diff(was, now, f"base/{key}", f"head/{key}", lineterm=""))
        if not diff and old.get(key) != new.get(key):
            diff = [f"only redacted values differ in {key}"]
        diffs += diff
    return tuple(diffs)


def _configurations(document: dict[str, Any], *, several: bool) -> dict[str, str]:
    """Return each front end's files, where there are several with their namespaces."""
    return {
        f"{metadata['namespace']}/{key}" if several else key: unescaped(text)
        for config_map in document.get("resource", {}).get("kubernetes_config_map_v1", {}).values()
        if (metadata := config_map["metadata"])["name"] == ENDPOINT_DEPLOYMENT
        for key, text in config_map["data"].items()
    }
