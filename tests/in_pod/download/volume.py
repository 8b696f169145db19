"""Two files on a hub, their plan, and checks of a volume."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from ops.hub.local_hub import HubFile

REPOSITORY = "owner/name"
_STEP_BYTES = 1 << 24


class Source:
    """A model of two files on a hub, and its plan."""

    def __init__(self, folder: Path, model_bytes: int, mmproj_bytes: int) -> None:
        """Make files of random bytes."""
        folder.mkdir(exist_ok=True)
        self.files: dict[tuple[str, str], HubFile] = {}
        for name, size in (("model.gguf", model_bytes), ("mmproj.gguf", mmproj_bytes)):
            path = folder / name
            dice = random.Random(name)
            with path.open("wb") as content:
                for start in range(0, size, _STEP_BYTES):
                    content.write(dice.randbytes(min(_STEP_BYTES, size - start)))
            self.files[REPOSITORY, name] = HubFile.of(path)
        self.size_bytes = model_bytes + mmproj_bytes
        self.plan_path = folder / "plan.json"
        self.write_plan(self.plan())

    def plan(self) -> dict[str, Any]:
        """The plan as a document to change."""
        return {
            "version": 1,
            "files": [
                {
                    "repository": repository,
                    "revision": "0" * 40,
                    "name": name,
                    "size_bytes": file.path.stat().st_size,
                    "sha256": file.sha256,
                }
                for (repository, name), file in self.files.items()
            ],
            "models": [
                {
                    "id": "m",
                    "links": [
                        {"name": name, "sha256": file.sha256}
                        for (_, name), file in self.files.items()
                    ],
                }
            ],
        }

    def write_plan(self, document: object) -> None:
        """Replace the plan."""
        self.plan_path.write_text(json.dumps(document))

    def sha256(self, name: str) -> str:
        """The sha256 of one of the files."""
        return self.files[REPOSITORY, name].sha256

    def is_published(self, models: Path) -> bool:
        """Whether the right bytes are published; other published bytes fail the test."""
        if not (models / "m").exists():
            assert not (models / "m").is_symlink(), "a link to nothing"
            return False
        assert not (models / "m").readlink().is_absolute()
        for (_, name), file in self.files.items():
            link = models / "m" / name
            assert not link.readlink().is_absolute()
            assert link.read_bytes() == file.path.read_bytes()
        return True


def leftovers(models: Path) -> list[str]:
    """Everything on a volume beside blobs, sets and the models' links."""
    return sorted(
        str(path.relative_to(models))
        for path in models.rglob("*")
        if path.name.startswith(".") or path.suffix in (".partial", ".journal", ".wrong")
    )
