"""Tiny files in place of a model's own, to try it without the internet."""

from __future__ import annotations

from collections.abc import Iterable

from llama_swap_config.lock.locked import LOCK_COMMAND, LockedFile, LockedModel

STAND_IN_COMMIT = "0" * 40
"""The only commit of `python -m ops hub`; git never gives it to a real one."""


def is_stand_in(files: Iterable[LockedFile]) -> bool:
    """Whether `python -m ops hub` made one of a model's files."""
    return any(file.revision == STAND_IN_COMMIT for file in files)


def stand_in_problem(model_id: str) -> str:
    """Return the one line about a model whose files are stand-ins."""
    return (
        f"model {model_id!r}: revision is {STAND_IN_COMMIT!r}; expected a commit of its "
        "repository. Its files are the tiny ones of `python -m ops hub`: their sizes and VRAM "
        f"mean nothing, and only the embedded cluster takes them. Run `{LOCK_COMMAND}` "
        "where the hub can be reached."
    )


def stand_in_problems(models: Iterable[LockedModel]) -> tuple[str, ...]:
    """Return one line for each model whose files are stand-ins."""
    return tuple(
        stand_in_problem(locked.model.id) for locked in models if is_stand_in(locked.files)
    )
