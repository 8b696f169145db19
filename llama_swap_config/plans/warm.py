"""The warm plan, JSON for the serving pod's init container, and the memory it needs."""

from __future__ import annotations

import json
import math

from in_pod.warm.contract import OWN_MIB, SHARE
from llama_swap_config.lock.locked import LockedModel


def render_warm_plan(models: tuple[LockedModel, ...]) -> str:
    """Render the plan, with the models in the registry's order, which is their priority.

    Args:
        models: The locked registry.

    Returns:
        JSON, byte-stable for the same files and order.
    """
    document = {
        "version": 1,
        "models": [
            {
                "id": locked.model.id,
                "files": [
                    {
                        "name": name,
                        "sha256": file.sha256,
                        "size_bytes": file.size_bytes,
                    }
                    for name, file in locked.links.items()
                ],
            }
            for locked in models
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def warm_memory_mib(models: tuple[LockedModel, ...]) -> int:
    """Compute the memory limit, in MiB, with which the largest model can be warmed.

    The kernel charges a page to the cgroup that reads it first.
    """
    largest = max((locked.size_bytes for locked in models), default=0)
    return math.ceil(largest / SHARE / 2**20) + OWN_MIB
