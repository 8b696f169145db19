"""Names that modules had before: each error names the new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from llama_swap_config.errors import ConfigError


def renamed_import(module: str, **instead: str) -> Callable[[str], NoReturn]:
    """Make a module's `__getattr__`, which refuses the names that the module had before.

    Args:
        module: The module's name.
        instead: Old name -> the whole error, which names the new one.

    Raises:
        ConfigError: when an old name is imported.
    """

    def refuse(name: str) -> NoReturn:
        if name in instead:
            raise ConfigError(instead[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refuse
