"""Names that settings had before: each error names the new one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from llama_swap_config.errors import ConfigError

_Class = TypeVar("_Class", bound=type)


def renamed(prefix: str = "", /, **instead: str) -> Callable[[_Class], _Class]:
    """Make a class refuse the keywords that it had before.

    Args:
        prefix: Where the settings have an object of the class, such as `gpu.`.
        instead: Old keyword -> what to use instead, such as `sharing=ByWindow(...)`.

    Raises:
        ConfigError: when the class is called with an old keyword; the message names the new one.
    """

    def decorate(cls: _Class) -> _Class:
        init = cls.__init__  # type: ignore[misc]

        @functools.wraps(init)
        def checked(self: object, *args: Any, **values: Any) -> None:
            for old, new in instead.items():
                if old in values:
                    raise ConfigError.of(
                        "settings",
                        f"{prefix}{old}",
                        values[old],
                        expected="its new name",
                        remedy=f"Write {new} in stacks/production.py",
                    )
            init(self, *args, **values)

        cls.__init__ = checked  # type: ignore[misc]
        return cls

    return decorate


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
