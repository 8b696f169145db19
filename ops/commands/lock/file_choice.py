"""Choose the file of a repository for a quantisation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from llama_swap_config.lock.file import FILE_NAME
from llama_swap_config.lock.locked import Role
from ops.errors import OpsError, one_line
from ops.hub.files import HubFile

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_SEPARATOR = re.compile(r"[-_.]")
_VARIANTS = frozenset({"xxs", "xs", "s", "m", "l", "xl", "nl", "0", "1", "4", "8"})
"""Words that make another quantisation of the one before them: Q2_K is not Q2_K_L."""


def choose_file(
    subject: str,
    files: Sequence[HubFile],
    role: Role,
    quantisation: str,
    *,
    named: Sequence[str] = (),
    locked: str = "",
) -> HubFile:
    """Choose the one file of a role and a quantisation.

    Args:
        subject: The model and its repository in errors.
        files: The repository's files.
        role: Weights, or projector (a file with mmproj in its name).
        quantisation: The quantisation, as the registry spells it.
        named: File names from --file, preferred if several match.
        locked: The locked file name, preferred if several match.

    Raises:
        OpsError: when no file or several files match (the message lists them), when the only
            match is split, or when the hub has no sha256 of it.
    """
    of_role = [file for file in files if _role_of(file.name) == role]
    matching = [file for file in of_role if _is_of(file.name, quantisation)]
    whole = [file for file in matching if not _SPLIT.search(file.name)]
    if matching and not whole:
        raise OpsError(
            f"{subject}: {one_line(matching[0].name)} is one of {len(matching)} files of a split "
            "model; expected a model in one file"
        )
    for preference in (named, (locked,)):
        whole = [file for file in whole if file.name in preference] or whole
    if len(whole) > 1 and len({file.sha256 for file in whole}) == 1 and whole[0].sha256:
        # One file with two names, as after a rename.
        whole = whole[:1]
    if len(whole) != 1:
        kind = "weights" if role == "model" else "projector (mmproj)"
        names = ", ".join(file.name for file in (whole or of_role)) or "none"
        names = one_line(names, limit=4000)
        raise OpsError(
            f"{subject}: several files are {kind} in {quantisation}: {names}. Use --file."
            if whole
            else f"{subject}: no file is {kind} in {quantisation}; found: {names}"
        )
    if not FILE_NAME.fullmatch(whole[0].name):
        raise OpsError(f"{subject}: {whole[0].name!r} is not a valid file name for the lock")
    if not whole[0].sha256:
        raise OpsError(f"{subject}: the hub has no sha256 of {whole[0].name}")
    return whole[0]


def _role_of(name: str) -> Role | None:
    base = PurePosixPath(name).name.lower()
    if not base.endswith(".gguf"):
        return None
    return "mmproj" if "mmproj" in base else "model"


def _is_of(name: str, quantisation: str) -> bool:
    """Whether a file name contains the words of a quantisation and not those of a longer one."""
    words = _SEPARATOR.split(PurePosixPath(name).name.lower().removesuffix(".gguf"))
    wanted = _SEPARATOR.split(quantisation.lower())
    return any(
        words[start : start + len(wanted)] == wanted
        and not _VARIANTS.intersection(words[start + len(wanted) : start + len(wanted) + 1])
        for start in range(len(words))
    )
