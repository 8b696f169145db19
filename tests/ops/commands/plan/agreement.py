"""What `plan --refresh` may say in which state, as a table, and a plan's text."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from llama_swap_config.cluster.storage import NfsStorage
from ops.commands.plan.comparison import Comparison, Refreshed, compare
from ops.commands.plan.refresh import disagreements
from ops.commands.plan.revision import Revision
from ops.commands.plan.sections import document
from ops.commands.plan.side import Side
from ops.report.markdown import as_markdown
from ops.terraform.synth import Synthesized
from ops.terraform.verdict import Verdict
from tests.declaration.resources import RESOURCES

Json = dict[str, Any]

_MOVED = MappingProxyType({"storage": NfsStorage(server="192.168.1.127", path="/srv/elsewhere")})
_UNGUARDED = MappingProxyType({"prevent_destroy": False})
_REFUSED = "prevent_destroy guards the PersistentVolume"
_WOULD_BE_REPLACED = "has prevent_destroy and would be replaced"
_NO_LONGER = "prevent_destroy no longer guards"
_NAMED = "unless --allow-removal"
_NOTHING = "Nothing is deployed yet, so Terraform adds every object."
_NO_CHANGE = "Terraform finds no change."


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A state, the two branches as arguments of the fixture `synth`, and the words."""

    state: Literal["empty", "base", "head"]
    """What is deployed: nothing, the base, or the head already."""
    base: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    says_nothing_of: tuple[str, ...] = ()


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "nothing deployed": Case(
            state="empty",
            says=(f"{len(RESOURCES)} to add, 0 to change, 0 to replace, 0 to remove", _NOTHING),
            says_nothing_of=("prevent_destroy", "is missing in the cluster", "refuse"),
        ),
        "nothing deployed, and the volume moves": Case(
            state="empty",
            head=_MOVED,
            says=(f"{len(RESOURCES)} to add", _NOTHING),
            says_nothing_of=("prevent_destroy", "refuse", "is replaced: "),
        ),
        "nothing deployed, and the guard goes": Case(
            state="empty",
            head=_UNGUARDED,
            says=(f"{len(RESOURCES)} to add", _NOTHING),
            says_nothing_of=("prevent_destroy", "refuse"),
        ),
        "the volume moves": Case(
            state="base",
            head=_MOVED,
            says=(_REFUSED, _WOULD_BE_REPLACED, "1 refused; "),
            says_nothing_of=("is deployed", _NO_LONGER, _NAMED),
        ),
        "the volume moves, and the guard comes": Case(
            state="base",
            base=_UNGUARDED,
            head=_MOVED,
            says=(_REFUSED, _WOULD_BE_REPLACED),
            says_nothing_of=(_NO_LONGER, _NAMED),
        ),
        "the volume moves, and the guard goes": Case(
            state="base",
            head=_MOVED | _UNGUARDED,
            says=(_NO_LONGER, _NAMED, "1 refused; "),
            says_nothing_of=(_REFUSED, _WOULD_BE_REPLACED, "if it is deployed"),
        ),
        "the guard goes": Case(
            state="base",
            head=_UNGUARDED,
            says=(_NO_CHANGE, _NO_LONGER, "Terraform agrees with the comparison."),
            says_nothing_of=("refuse",),
        ),
        "the volume has moved already": Case(
            state="head",
            base=_MOVED,
            says=(_NO_CHANGE, "but the cluster already has the change"),
            says_nothing_of=("prevent_destroy", "refuse", "is replaced: ", "--allow-removal"),
        ),
        "the pod has restarted already": Case(
            state="head",
            base={"pre_stop_s": 7},
            says=(_NO_CHANGE, "but the cluster already has the change"),
            says_nothing_of=("restarts because", "the pod restarts"),
        ),
        "the pod restarts": Case(
            state="base",
            head={"pre_stop_s": 7},
            says=("1 to change", "restarts because", "the pod restarts"),
        ),
    }
)


def comparison(base: Json, head: Json) -> Comparison:
    """Compare two synthesized stacks, of which models and budget are unknown."""

    def side(document: Json) -> Side:
        synthesized = Synthesized(directory=Path("nowhere"), document=document)
        return Side(synthesized=synthesized, problem=None, models=None, consumers=None, fit=None)

    revision = Revision(commit="0" * 40, name="main")
    return compare(side(base), side(head), revision=revision, rate_mb_s=50)


def report(base: Json, head: Json, verdict: Verdict) -> str:
    """What `plan --refresh` writes."""
    compared = comparison(base, head)
    differing = tuple(disagreements(compared.objects, verdict.changes))
    refreshed = replace(compared, refreshed=Refreshed(verdict=verdict, disagreements=differing))
    return shown(refreshed)


def shown(compared: Comparison) -> str:
    """A plan as text, without the marks of untrusted words."""
    return html.unescape(re.sub("</?code>|`", "", as_markdown(document(compared))))


def check(case: Case, text: str) -> None:
    """Require every sentence of a case, and none that contradicts it."""
    for words in case.says:
        assert words in text, text
    for words in case.says_nothing_of:
        assert words not in text, text
