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
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

Facts = dict[str, Any]


def main() -> None:
    """Print the facts."""
    facts: Facts = {}
    unknown: dict[str, str] = {}

    def known(name: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            unknown[name] = f"{type(error).__name__}: {error}"
            return None

    for name, read in (("models", _models), ("consumers", _consumers), ("pools", _pools)):
        facts[name] = known(name, read)
    for pool in facts["pools"] or ():
        # What does not fit, or is older, has pools all the same.
        pool["fit"] = known(f"fit of {pool['name']}", pool["fit"])
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


def _pools() -> list[Facts]:
    """Return each pool, with a function that returns its fit; the first one is first."""
    try:
        load_pools = importlib.import_module("stacks.declared").load_pools
    except (ImportError, AttributeError):
        return [_only_pool()]
    return [
        {
            "name": pool.name,
            "namespace": pool.settings.namespace,
            "node": _plain(pool.settings.gpu.node_selector),
            "volume": pool.home.volume,
            "downloads": [locked.model.id for locked in pool.downloads],
            "fit": partial(_fit_of, pool),
        }
        for pool in load_pools()
    ]


def _fit_of(pool: Any) -> Facts:
    fit_pool = importlib.import_module("ops.commands.fit.run").fit_pool
    as_json = importlib.import_module("ops.commands.fit.text").as_json
    return cast(Facts, as_json(fit_pool(pool)))


def _only_pool() -> Facts:
    """Return what an older tree declares, which has one pool and no name for it."""
    from llama_swap_config.registry import REGISTRY, RESIDENCY

    production = _module("stacks.production", "stacks.settings").PRODUCTION

    def fit() -> Facts:
        fit_of = _module("ops.commands.fit.run", "ops.fit").fit
        as_json = _module("ops.commands.fit.text", "ops.fit_text").as_json
        return cast(Facts, as_json(fit_of(_locked(), RESIDENCY, production.node)))

    return {
        "name": "main",
        "namespace": production.namespace,
        "node": {},
        "volume": "main",
        "downloads": [model.id for model in REGISTRY],
        "fit": fit,
    }


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
