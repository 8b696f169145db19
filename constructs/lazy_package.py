"""Import one provider module without its 108 siblings; delete this with the move to cdktn.

The binding's `__init__` imports every resource type of the provider: 1.2 million lines, more than
half of the time of a synth. jsii loads submodules lazily since jsii#5110, but the last binding for
cdktf is older.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def lazy_package(name: str) -> None:
    """Register a package whose submodules are imported on first use.

    Args:
        name: The package; it stays as it is if it is imported already.

    Raises:
        ModuleNotFoundError: when the package is not installed.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = importlib.util.module_from_spec(spec)

    def submodule(attribute: str) -> ModuleType:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        try:
            return importlib.import_module(f"{name}.{attribute}")
        except ModuleNotFoundError as error:
            raise AttributeError(attribute) from error

    package.__getattr__ = submodule  # type: ignore[method-assign]
    sys.modules[name] = package
