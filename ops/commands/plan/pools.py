"""Compare the pools of two trees: which there are, their cards, and which models move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ops.commands.plan.budget import Budget, compare_budgets
from ops.commands.plan.models import Files, Models, file_changes

Action = Literal["added", "kept", "renamed", "removed"]

Pools = tuple[dict[str, Any], ...]
"""Output of `facts_script` for each pool, the first one first; empty: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChange:
    """A pool of base or head."""

    name: str
    was: str
    """Its name before; only the first pool can have another one. Equal to `name` otherwise."""
    action: Action
    namespace: str
    node: Mapping[str, str]
    """Labels of its node."""
    volume: str
    """Name of the pool whose volume it uses."""
    budget: Budget | None
    """None: unknown, or the pool is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A model of both sides whose homes change."""

    model: str
    before: tuple[str, ...]
    """Its homes; of pools that the head has, by the head's names."""
    after: tuple[str, ...]
    download_bytes: Mapping[str, int]
    """Pool of a volume -> bytes of the model that it does not have."""


def pool_changes(before: Pools, after: Pools) -> tuple[PoolChange, ...]:
    """Compare the pools; none, where neither side has several.

    The first pool of one side is that of the other, whatever its name: so are its objects.
    """
    if max(len(before), len(after)) < 2:
        return ()
    old, new = _by_place(before), _by_place(after)
    changes = [_change(old.get(place), pool) for place, pool in new.items()]
    changes += [_removed(pool) for place, pool in old.items() if place not in new]
    return tuple(changes)


def moves(
    before: Pools, after: Pools, *, models_before: Models, models_after: Models, files: Files
) -> Iterator[Move]:
    """List the models whose homes change; none, where neither side has several pools.

    Args:
        before: The base's pools.
        after: The head's.
        models_before: The base's models.
        models_after: The head's.
        files: What the volumes gain.
    """
    if max(len(before), len(after)) < 2:
        return
    names = {place: str(pool["name"]) for place, pool in _by_place(after).items()}
    there = {model["fields"]["id"]: model for model in models_before}
    for model in models_after:
        model_id = str(model["fields"]["id"])
        if model_id not in there:
            continue
        old, new = _homes(there[model_id], before, names), _homes(model, after, names)
        if old == new:
            continue
        digests = {file["sha256"] for file in model["files"]}
        needed: Counter[str] = Counter()
        for file in files.download:
            if file.sha256 in digests:
                needed[file.volume] += file.size_bytes
        yield Move(model=model_id, before=old, after=new, download_bytes=dict(needed))


def volume_changes(
    before: Pools, after: Pools, *, models_before: Models, models_after: Models
) -> Files:
    """List what each volume of the head gains and loses.

    A volume that the head does not have loses no file: nothing prunes it any more.

    Args:
        before: The base's pools.
        after: The head's.
        models_before: The base's models.
        models_after: The head's.
    """
    old = _by_volume(before, models_before)
    names = {place: str(pool["name"]) for place, pool in _by_place(after).items()}
    changes = [
        file_changes(old.get(place, ()), models, volume=names[place] if len(names) > 1 else "")
        for place, models in _by_volume(after, models_after).items()
    ]
    return Files(
        download=tuple(file for change in changes for file in change.download),
        free=tuple(file for change in changes for file in change.free),
    )


def _by_volume(pools: Pools, models: Models) -> dict[str, Models]:
    """Return the models on each volume, by the place of the pool whose it is."""
    if not pools:
        return {"": models}
    return {
        place: tuple(model for model in models if model["fields"]["id"] in pool["downloads"])
        for place, pool in _by_place(pools).items()
        if pool["downloads"]
    }


def _by_place(pools: Pools) -> dict[str, dict[str, Any]]:
    """Key the pools as Terraform's addresses do: the first by an empty text, others by name."""
    return {str(pool["name"]) if index else "": pool for index, pool in enumerate(pools)}


def _homes(model: dict[str, Any], pools: Pools, names: Mapping[str, str]) -> tuple[str, ...]:
    places = {str(pool["name"]): place for place, pool in _by_place(pools).items()}
    declared = map(str, model["fields"].get("pools") or ())
    # Where there is one pool, no model has to name it.
    homes = {home: places.get(home, home) for home in declared} or {"": ""}
    return tuple(names.get(place, home) for home, place in homes.items())


def _change(before: dict[str, Any] | None, after: dict[str, Any]) -> PoolChange:
    name = str(after["name"])
    was = name if before is None else str(before["name"])
    action: Action = "added" if before is None else "kept" if was == name else "renamed"
    fit = None if before is None else before["fit"]
    budget = None if after["fit"] is None else compare_budgets(fit, after["fit"])
    return _pool(after, was, action, budget)


def _removed(pool: dict[str, Any]) -> PoolChange:
    return _pool(pool, str(pool["name"]), "removed", None)


def _pool(pool: dict[str, Any], was: str, action: Action, budget: Budget | None) -> PoolChange:
    return PoolChange(
        name=str(pool["name"]),
        was=was,
        action=action,
        namespace=str(pool["namespace"]),
        node={str(key): str(value) for key, value in pool["node"].items()},
        volume=str(pool["volume"]),
        budget=budget,
    )
