"""Print as JSON what a tree declares beyond its objects; run by path in its own process.

It imports the modules of the tree that PYTHONPATH names, which may be older than this file. Facts
that it cannot read are listed under `unknown`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from typing import Any, cast

Facts = dict[str, Any]


def main() -> None:
    """Print the facts."""
    facts: Facts = {}
    unknown: dict[str, str] = {}
    for name, read in (("models", _models), ("consumers", _consumers), ("fit", _fit)):
        try:
            facts[name] = read()
        except Exception as error:
            unknown[name] = f"{type(error).__name__}: {error}"
    json.dump(facts | {"unknown": unknown}, sys.stdout)


def _models() -> list[Facts]:
    return [
        {
            "fields": _plain(locked.model),
            "files": [
                {
                    name: getattr(file, name)
                    for name in (
                        "role",
                        "repository",
                        "revision",
                        "name",
                        "quantisation",
                        "size_bytes",
                        "sha256",
                    )
                }
                for file in locked.files
            ],
        }
        for locked in _locked()
    ]


def _consumers() -> list[Facts]:
    if importlib.util.find_spec("llama_swap_config.consumers") is None:
        return []  # An older tree, of which every client had the endpoint's own key.
    from llama_swap_config.declaration import load_consumers

    return [_plain(consumer) for consumer in load_consumers()]


def _fit() -> Facts:
    from llama_swap_config.registry import RESIDENCY

    node = _module("stacks.production", "stacks.settings").PRODUCTION.node
    fit = _module("ops.commands.fit.run", "ops.fit").fit(_locked(), RESIDENCY, node)
    as_json = _module("ops.commands.fit.text", "ops.fit_text").as_json
    return cast(Facts, as_json(fit))


def _locked() -> Any:
    try:
        from llama_swap_config.declaration import load
    except ModuleNotFoundError:
        from llama_swap_config.checks import check_registry
        from llama_swap_config.registry import REGISTRY

        lock = _module("llama_swap_config.lock.locked", "llama_swap_config.lock")
        file = _module("llama_swap_config.lock.file", "llama_swap_config.lock_file")
        return lock.lock_models(check_registry(REGISTRY), file.read_lock())
    return load().locked


def _module(name: str, older_name: str) -> Any:
    """Import a module by its name here, or by its name in an older tree."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return importlib.import_module(older_name)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


if __name__ == "__main__":
    main()
