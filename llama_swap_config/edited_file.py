"""Import a file that an operator edits; whatever is wrong with it is one line."""

from __future__ import annotations

import re
import traceback
import warnings
from importlib import import_module
from types import ModuleType

from llama_swap_config.errors import ConfigError


def import_edited(name: str) -> ModuleType:
    """Import `llama_swap_config.registry` or `stacks.production`.

    Args:
        name: The module.

    Raises:
        ConfigError: as the file raises it; for any other error, with file, line and its text.
    """
    path = f"{name.replace('.', '/')}.py"
    try:
        with warnings.catch_warnings():
            # Python only warns about `("a", "b") ("c", "d")`, and then cannot call the first.
            warnings.filterwarnings(
                "error", category=SyntaxWarning, module=rf".*{re.escape(path[:-3])}\Z"
            )
            return import_module(name)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(_reason(path, error).split())
        reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
        end = "" if reason.endswith("?") else "."  # "Perhaps you forgot a comma?"
        raise ConfigError(f"{reason}{end} Correct it, or restore it from git.") from error


def _reason(path: str, error: BaseException) -> str:
    """Say where the file raised an error, what stands there, and which error it is."""
    line: int | None = None
    written: str | None = None
    if isinstance(error, SyntaxError):
        line, written, reason = error.lineno, error.text, error.msg
        # It may be of a module that the file imports.
        path = path if (error.filename or path).endswith(path) else str(error.filename)
    else:
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.endswith(path):
                line, written = frame.lineno, frame.line
    place = path if line is None else f"{path}, line {line}"
    return f"{place}: `{written.strip()}`: {reason}" if written else f"{place}: {reason}"
