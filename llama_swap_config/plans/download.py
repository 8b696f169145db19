"""The download plan, JSON for the download Job.

It holds facts of files only: a change of context or ttl changes neither the plan nor the Job's
name.
"""

from __future__ import annotations

import json

from llama_swap_config.lock.locked import LockedModel


def render_download_plan(models: tuple[LockedModel, ...]) -> str:
    """Render the plan: each file once, and each model's links.

    Args:
        models: The locked registry.

    Returns:
        JSON, byte-stable for the same files in any order of the registry.
    """
    by_id = sorted(models, key=lambda locked: locked.model.id)
    files = {file.sha256: file for locked in by_id for file in locked.files}
    return (
        json.dumps(
            {
                "version": 1,
                "files": [
                    {
                        "repository": file.repository,
                        "revision": file.revision,
                        "name": file.name,
                        "size_bytes": file.size_bytes,
                        "sha256": file.sha256,
                    }
                    for file in files.values()
                ],
                "models": [
                    {
                        "id": locked.model.id,
                        "links": [
                            {"name": name, "sha256": file.sha256}
                            for name, file in locked.links.items()
                        ],
                    }
                    for locked in by_id
                ],
            },
            indent=2,
        )
        + "\n"
    )
