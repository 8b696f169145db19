"""The sentence on top of a plan, and its title."""

from __future__ import annotations

from collections import Counter

from ops.commands.plan.comparison import Comparison
from ops.report.document import Line, Tone, Value
from ops.report.words import count, duration, mib, size
from ops.terraform.changes import VERBS, Action
from ops.terraform.synth import STACK

_VERBS: tuple[tuple[Action, str, str], ...] = (
    ("create", "is added", "are added"),
    ("update", "changes", "change"),
    ("replace", "is replaced", "are replaced"),
    ("delete", "is removed", "are removed"),
)
"""Action, and its verb in the sentence for one object and for several."""


def title(found: Comparison) -> str:
    """Say the plan in Terraform's four numbers."""
    if found.problem is not None:
        return f"Plan for {STACK}: it does not synthesize"
    actions = Counter(each.action for each in found.objects)
    return f"Plan for {STACK}: " + ", ".join(
        f"{actions[action]} to {VERBS[action]}" for action, _, _ in _VERBS
    )


def tone(found: Comparison) -> Tone:
    """How bad it is."""
    if found.problem is not None or found.refused or found.named_only:
        return "bad"
    return "changed" if found.differs else "added"


def sentence(found: Comparison) -> Line:
    """Say in one sentence what a merge would do."""
    if found.problem is not None:
        return ("This cannot be deployed: ", Value(found.problem))
    if not found.differs:
        return ("No change.",)
    parts = [*_objects(found), *_restart(found), *_files(found), *_fit(found)]
    if found.refused:
        names = ", ".join(each.kind for each in found.refused)
        parts.append(f"but Terraform refuses it: prevent_destroy guards the {names}")
    elif found.named_only:
        names = ", ".join(each.kind for each in found.named_only)
        parts.append(f"but a deploy refuses to remove the {names} without --allow-removal")
    text = ", ".join(parts)
    if found.base_problem is not None:
        text = f"the base does not synthesize, so everything is new: {text}"
    return (f"{text[0].upper()}{text[1:]}.",)


def _objects(found: Comparison) -> list[str]:
    if not found.objects:
        return ["no object changes"]
    actions = Counter(each.action for each in found.objects)
    parts: list[str] = []
    for action, one, many in _VERBS:
        number = actions[action]
        if number:
            noun = f"{number}" if parts else count(number, "object")
            parts.append(f"{noun} {one if number == 1 else many}")
    return parts


def _restart(found: Comparison) -> list[str]:
    if any(each.restarts for each in found.objects):
        return ["the pod restarts"]
    touched = {each.action for each in found.objects if each.kind == "Deployment"}
    if "replace" in touched:
        return ["the pod is replaced"]
    if touched & {"create", "delete"} or not found.objects:
        return []
    return ["no pod restarts"]


def _files(found: Comparison) -> list[str]:
    if found.files is None:
        return ["the base's files are unknown"]
    parts = []
    if found.files.download:
        needed = found.files.download_bytes
        time = duration(needed / (found.rate_mb_s * 1e6))
        parts.append(f"{size(needed)} to download ({time} at {found.rate_mb_s:g} MB/s)")
    elif found.objects or found.models:
        parts.append("nothing to download")
    if found.files.free:
        parts.append(f"{size(found.files.free_bytes)} freed by a prune")
    return parts


def _fit(found: Comparison) -> list[str]:
    spare = None if found.budget is None else found.budget.spare_mib
    if spare is None:
        return []
    return [f"fits with {mib(spare)} to spare" if spare >= 0 else f"{mib(-spare)} too large"]
