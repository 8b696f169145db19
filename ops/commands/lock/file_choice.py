"""Choose the file of a repository, or the parts of a split one, for what the registry says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from llama_swap_config.lock.locked import Wanted
from llama_swap_config.model import is_gguf_path
from llama_swap_config.quantisation import is_same_name, words
from ops.errors import OpsError, one_line
from ops.hub.files import HubFile
from ops.report.words import size

MOST_PARTS = 1000
"""Parts whose headers are read; the largest models have 200."""
_SHOWN = 20
"""Candidates in an error."""
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_PREFIXES = frozenset({"ud", "i1"})
"""Words that make another quantisation of the one after them: UD-Q4_K_M is not Q4_K_M."""
_VARIANTS = frozenset({
    "xxs", "xs", "s", "m", "l", "xl", "nl", "k", "0", "1", "4", "8", "moe",
})  # fmt: skip
"""Words that make another quantisation of the one before them: Q2_K is not Q2_K_L."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen file, and why it was chosen."""

    files: tuple[HubFile, ...]
    """The whole file, or the parts of a split one in their order."""
    reason: str

    def __str__(self) -> str:
        return f"{_shown(self.files)}: {self.reason}"


def choose_file(files: Sequence[HubFile], wanted: Wanted, *, locked: str = "") -> Choice:
    """Choose the one file of a role.

    Args:
        files: The repository's files.
        wanted: What the registry says of it.
        locked: The locked file's name, preferred if several match.

    Raises:
        OpsError: when no file or several files match (the message lists them), when a projector is
            split, or when the hub has no sha256 of it.
    """
    sets = _sets(files)
    if wanted.file is not None:
        chosen, reason = _named(sets, wanted, wanted.file), f"named by {wanted.file_field}"
    else:
        chosen, reason = _by_label(sets, wanted, locked)
    most = MOST_PARTS if wanted.role == "model" else 1  # llama.cpp loads no split projector.
    if len(chosen) > most:
        raise OpsError(
            f"{wanted.repository}: {_shown(chosen)} is split; expected at most {most} part"
            f"{'s' if most > 1 else ''}"
        )
    for file in chosen:
        if not is_gguf_path(file.name):
            raise OpsError(
                f"{wanted.repository}: a file is {file.name!r}; expected a path of printable "
                "characters"
            )
        if not file.sha256:
            raise OpsError(f"{wanted.repository}: the hub has no sha256 of {file.name}")
    return Choice(files=chosen, reason=reason)


def _named(sets: Sequence[tuple[HubFile, ...]], wanted: Wanted, name: str) -> tuple[HubFile, ...]:
    """Find the file with the operator's name, spelled exactly if several look the same."""
    alike = [parts for parts in sets if is_same_name(parts[0].name, name)]
    exact = [parts for parts in alike if parts[0].name == name]
    if not alike:
        raise OpsError(
            f"{wanted.file_field} is {name!r}; expected a file of {wanted.repository}: "
            f"{_list(sets)}"
        )
    return (exact or alike)[0]


def _by_label(
    sets: Sequence[tuple[HubFile, ...]], wanted: Wanted, locked: str
) -> tuple[tuple[HubFile, ...], str]:
    """Find the only file with the quantisation in its name, and say why it is that one."""
    field, label = wanted.quantisation_field, wanted.quantisation
    is_projector = wanted.role == "mmproj"
    of_role = [parts for parts in sets if is_projector == _names_a_projector(parts[0].name)]
    matching = [parts for parts in of_role if _is_of(parts[0].name, label)]
    kept = [parts for parts in matching if any(file.name == locked for file in parts)]
    has = f"{'mmproj and ' if is_projector else ''}{label} in its name"
    if len(matching) == 1:
        return matching[0], f"the only file with {has}"
    if kept:
        return kept[0], f"locked before; one of {len(matching)} files with {has}"
    digests = {tuple(file.sha256 for file in parts) for parts in matching}
    if len(digests) == 1 and all(file.sha256 for file in matching[0]):
        # One file with two names, as after a rename.
        return matching[0], f"the first of {len(matching)} equal files with {has}"
    if matching:
        raise OpsError(
            f"{field} is {label!r}; expected one file of {wanted.repository} with {has}: "
            f"{_list(matching)}. Set {wanted.file_field} to one of them"
        )
    ways = f"Set {field} or {wanted.file_field}"
    if is_projector:
        ways += ", or projector_repository if the projector is elsewhere"
    raise OpsError(
        f"{field} is {label!r}; expected a file of {wanted.repository} with {has}: "
        f"{_list(of_role or sets)}. {ways}"
    )


def _sets(files: Sequence[HubFile]) -> list[tuple[HubFile, ...]]:
    """Group the GGUF files: each whole file, and the parts of each split one."""
    sets: dict[str, list[HubFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.name):
        if file.name.lower().endswith(".gguf"):
            sets[_PART.sub(r"-of-\2", file.name)].append(file)
    return [tuple(parts) for parts in sets.values()]


def _names_a_projector(name: str) -> bool:
    return "mmproj" in PurePosixPath(name).name.lower()


def _is_of(name: str, label: str) -> bool:
    """Whether a file name contains the words of a label and not those of a longer one."""
    found = words(PurePosixPath(name).stem)
    wanted = words(label)
    return any(
        found[start : start + len(wanted)] == wanted
        and _PREFIXES.isdisjoint(found[max(0, start - 1) : start])
        and _VARIANTS.isdisjoint(found[start + len(wanted) : start + len(wanted) + 1])
        for start in range(len(found))
    )


def _list(sets: Sequence[tuple[HubFile, ...]]) -> str:
    """List candidates with their sizes."""
    shown = ", ".join(map(_shown, sets[:_SHOWN])) or "it has no GGUF file"
    return shown + (f" and {len(sets) - _SHOWN} more" if len(sets) > _SHOWN else "")


def _shown(parts: Sequence[HubFile]) -> str:
    total = size(sum(file.size_bytes for file in parts))
    return (
        f"{one_line(parts[0].name)} ({f'{len(parts)} parts, ' if len(parts) > 1 else ''}{total})"
    )
