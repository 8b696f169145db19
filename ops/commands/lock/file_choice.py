"""Which file of a repository a quantisation means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from llama_swap_config.lock.file import FILE_NAME
from llama_swap_config.lock.locked import Role
from ops.errors import OpsError
from ops.hub.files import HubFile

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_SEPARATOR = re.compile(r"[-_.]")
_VARIANTS = frozenset({"xxs", "xs", "s", "m", "l", "xl", "nl", "0", "1", "4", "8"})
"""What makes another quantisation of one when it follows: Q2_K is not Q2_K_L."""


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
        subject: What an error calls the model and its repository.
        files: What the repository has.
        role: Whether weights are wanted or a projector, whose name says mmproj.
        quantisation: As the registry spells it.
        named: Names that the operator decides for, where several are possible.
        locked: The name that the lock has; it decides where several are possible.

    Raises:
        OpsError: when none or several are possible, all of them listed; when the only one is
            split; when the hub states no sha256 of it.
    """
    of_role = [file for file in files if _role_of(file.name) == role]
    found = [file for file in of_role if _says(file.name, quantisation)]
    whole = [file for file in found if not _SPLIT.search(file.name)]
    if found and not whole:
        raise OpsError(
            f"{subject}: {found[0].name} is one of {len(found)} files of a split model; only "
            "models of one file are served"
        )
    for preference in (named, (locked,)):
        whole = [file for file in whole if file.name in preference] or whole
    if len(whole) > 1 and len({file.sha256 for file in whole}) == 1 and whole[0].sha256:
        # One file under two names, as after a rename.
        whole = whole[:1]
    if len(whole) != 1:
        what = "weights" if role == "model" else "projector (mmproj)"
        names = ", ".join(file.name for file in (whole or of_role)) or "none"
        raise OpsError(
            f"{subject}: several files are {what} in {quantisation}: {names}; name one with --file"
            if whole
            else f"{subject}: no file is the {what} in {quantisation}; there are: {names}"
        )
    if not FILE_NAME.fullmatch(whole[0].name):
        raise OpsError(f"{subject}: {whole[0].name!r} is no name that a lock can hold")
    if not whole[0].sha256:
        raise OpsError(f"{subject}: the hub states no sha256 of {whole[0].name}")
    return whole[0]


def _role_of(name: str) -> Role | None:
    base = PurePosixPath(name).name.lower()
    if not base.endswith(".gguf"):
        return None
    return "mmproj" if "mmproj" in base else "model"


def _says(name: str, quantisation: str) -> bool:
    """Whether the words of a quantisation stand in a name, and not those of a longer one."""
    words = _SEPARATOR.split(PurePosixPath(name).name.lower().removesuffix(".gguf"))
    wanted = _SEPARATOR.split(quantisation.lower())
    return any(
        words[start : start + len(wanted)] == wanted
        and not _VARIANTS.intersection(words[start + len(wanted) : start + len(wanted) + 1])
        for start in range(len(words))
    )
