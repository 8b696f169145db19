"""Write the title of a plan and the sentence below it."""

from __future__ import annotations

from collections import Counter

from ops.commands.plan.comparison import Comparison
from ops.commands.plan.consumers import Action as ConsumerAction
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
"""Action, and its verb for one object and for several."""
_OBJECT_ACTIONS: dict[ConsumerAction, Action] = {
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
    parts = [
        *_objects(comparison),
        *_restart(comparison),
        *_consumers(comparison),
        *_files(comparison),
        *_fit(comparison),
    ]
    if comparison.refused:
        names = ", ".join(change.kind for change in comparison.refused)
        parts.append(
            f"but Terraform refuses it{_deployed(comparison)}: prevent_destroy guards the {names}"
        )
    elif comparison.named_only:
        names = ", ".join(change.kind for change in comparison.named_only)
        parts.append(
            f"but a deploy refuses to remove the {names}{_deployed(comparison)} without "
            "--allow-removal"
        )
    text = ", ".join(parts)
    if comparison.base_problem is not None:
        text = f"the base does not synthesize, so everything is new: {text}"
    return (f"{text[0].upper()}{text[1:]}.",)


def _deployed(comparison: Comparison) -> str:
    """Limit a statement that the state would have to confirm."""
    return " where it is deployed" if comparison.refreshed is None else ""


def _objects(comparison: Comparison) -> list[str]:
    if not comparison.objects:
        return ["no object changes"]
    return _counted("object", [change.action for change in comparison.objects])


def _restart(comparison: Comparison) -> list[str]:
    """Say whether the endpoint's pod restarts, which ends its models, and which others do."""
    others = [
        f"the {change.name} restarts"
        for change in comparison.happening
        if change.restarts and not change.is_endpoint
    ]
    endpoint = next((change for change in comparison.happening if change.is_endpoint), None)
    if endpoint is not None and endpoint.restarts:
        return ["the pod restarts", *others]
    if endpoint is not None and endpoint.action == "replace":
        return ["the pod is replaced", *others]
    if endpoint is not None and endpoint.action in ("create", "delete"):
        return others
    return others or (["no pod restarts"] if comparison.happening else [])


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


def _fit(comparison: Comparison) -> list[str]:
    spare = None if comparison.budget is None else comparison.budget.spare_mib
    if spare is None:
        return []
    return [f"fits with {mib(spare)} to spare" if spare >= 0 else f"{mib(-spare)} too large"]
