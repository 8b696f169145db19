"""Write the title of a plan and the sentence below it."""

from __future__ import annotations

from collections import Counter

from ops.commands.plan.comparison import Comparison
from ops.report.document import Line, Styled, Tone, Value, plain, separated
from ops.report.words import count, duration, mib, size
from ops.terraform.changes import VERBS, Action
from ops.terraform.synth import STACK

_VERBS: tuple[tuple[Action, str, str], ...] = (
    ("create", "is added", "are added"),
    ("update", "changes", "change"),
    ("replace", "is replaced", "are replaced"),
    ("delete", "is removed", "are removed"),
)
"""Action, and its verb for one object and for several."""
_OBJECT_ACTIONS: dict[str, Action] = {
    "added": "create",
    "changed": "update",
    "removed": "delete",
}


def title(comparison: Comparison) -> str:
    """Write the title, with Terraform's four numbers."""
    if comparison.problem is not None:
        return f"Plan for {STACK}: it does not synthesize"
    actions = Counter(change.action for change in comparison.objects)
    return f"Plan for {STACK}: " + ", ".join(
        f"{actions[action]} to {VERBS[action]}" for action, _, _ in _VERBS
    )


def tone(comparison: Comparison) -> Tone:
    """Return the tone of the sentence."""
    if comparison.problem is not None or comparison.refused or comparison.named_only:
        return "bad"
    return "changed" if comparison.differs else "added"


def sentence(comparison: Comparison) -> Line:
    """Write in one sentence what a merge would do."""
    if comparison.problem is not None:
        return ("This cannot be deployed: ", Value(comparison.problem))
    if not comparison.differs:
        return ("No change.",)
    parts: list[Line] = [
        *_lines(_objects(comparison)),
        *_restart(comparison),
        *_lines(_pools(comparison)),
        *_lines(_consumers(comparison)),
        *_lines(_files(comparison)),
        *_fit(comparison),
    ]
    if comparison.refused:
        names = ", ".join(change.kind for change in comparison.refused)
        refused = f"but Terraform refuses it{_deployed(comparison)}: prevent_destroy guards the "
        parts.append((refused + names,))
    elif comparison.named_only:
        names = ", ".join(change.kind for change in comparison.named_only)
        refused = f"but a deploy refuses to remove the {names}{_deployed(comparison)} without "
        parts.append((f"{refused}--allow-removal",))
    if comparison.base_problem is not None:
        intro = "the base does not synthesize, so everything is new: "
        parts[0] = (intro, *parts[0])
    return _sentence(parts)


def _lines(texts: list[str]) -> list[Line]:
    return [(text,) for text in texts]


def _sentence(parts: list[Line]) -> Line:
    """Join parts with commas, the first letter upper case; own text in one piece."""
    words: list[str | Value | Styled] = []
    for word in (word for part in parts for word in (", ", *part)):
        if words and isinstance(word, str) and isinstance(words[-1], str):
            words[-1] += word
        else:
            words.append(word)
    first = plain(words[0]).removeprefix(", ")
    words[0] = f"{first[0].upper()}{first[1:]}"
    if isinstance(words[-1], str):
        words[-1] += "."
    else:
        words.append(".")
    return tuple(words)


def _deployed(comparison: Comparison) -> str:
    """Limit a statement that the state would have to confirm."""
    return " where it is deployed" if comparison.refreshed is None else ""


def _objects(comparison: Comparison) -> list[str]:
    if not comparison.objects:
        return ["no object changes"]
    return _counted("object", [change.action for change in comparison.objects])


def _restart(comparison: Comparison) -> list[Line]:
    """Say which endpoints' pods restart, which ends their models, and which others do."""
    endpoints: list[str] = []
    replaced: list[str] = []
    others: dict[str, list[str]] = {}
    for change in comparison.happening:
        pool = comparison.pool_of(change)
        if change.restarts:
            (endpoints if change.is_endpoint else others.setdefault(change.name, [])).append(pool)
        elif change.is_endpoint and change.action == "replace":
            replaced.append(pool)
    parts = [
        *of_pools("pod", endpoints, "restarts", "restart"),
        *of_pools("pod", replaced, "is replaced", "are replaced"),
    ]
    for name, pools in others.items():
        parts += of_pools(name, pools, "restarts", "restart")
    comes_or_goes = any(
        change.is_endpoint and change.action in ("create", "delete")
        for change in comparison.happening
    )
    if parts or comes_or_goes or not comparison.happening:
        return parts
    return [("no pod restarts",)]


def of_pools(noun: str, pools: list[str], singular: str, plural: str) -> list[Line]:
    """Write `the pods of t4, rtx3090 restart`.

    Args:
        noun: What each of the pools has.
        pools: Their names; the only pool has none.
        singular: The verb.
        plural: The verb for several.
    """
    if not pools:
        return []
    named = (" of ", *separated(", ", pools)) if all(pools) else ()
    if len(pools) == 1:
        return [(f"the {noun}", *named, f" {singular}")]
    return [(f"the {noun}s", *named, f" {plural}")]


def _pools(comparison: Comparison) -> list[str]:
    actions = [_OBJECT_ACTIONS.get(pool.action) for pool in comparison.pools]
    return _counted("pool", [action for action in actions if action is not None])


def _consumers(comparison: Comparison) -> list[str]:
    changes = comparison.consumers or ()
    return _counted("consumer", [_OBJECT_ACTIONS[change.action] for change in changes])


def _counted(noun: str, actions: list[Action]) -> list[str]:
    """Write `2 objects change`, and then only numbers: `1 is removed`."""
    parts: list[str] = []
    for action, singular, plural in _VERBS:
        number = actions.count(action)
        if number:
            counted = f"{number}" if parts else count(number, noun)
            parts.append(f"{counted} {singular if number == 1 else plural}")
    return parts


def _files(comparison: Comparison) -> list[str]:
    if comparison.files is None:
        return ["the base's files are unknown"]
    parts = []
    if comparison.files.download:
        needed = comparison.files.download_bytes
        time = duration(needed / (comparison.rate_mb_s * 1e6))
        parts.append(f"{size(needed)} to download ({time} at {comparison.rate_mb_s:g} MB/s)")
    elif comparison.objects or comparison.models:
        parts.append("nothing to download")
    if comparison.files.free:
        parts.append(f"{size(comparison.files.free_bytes)} freed by a prune")
    return parts


def _fit(comparison: Comparison) -> list[Line]:
    pool = comparison.tightest
    if pool is None:
        return []
    spare = comparison.budgets[pool].spare_mib or 0
    on: Line = (" on ", Value(pool)) if pool else ()
    return [
        (f"fits with {mib(spare)} to spare", *on)
        if spare >= 0
        else (f"{mib(-spare)} too large", *on)
    ]
