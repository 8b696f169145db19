"""What file managers, NAS programs and servers leave on a share that others use too."""

from __future__ import annotations

import os
from pathlib import Path

FILES = (".DS_Store", "._model.gguf", "Thumbs.db", "desktop.ini", ".nfs000000000000002a00000001")
FOLDERS = ("@eaDir", "lost+found", ".snapshot", ".Trash-1000", "#recycle", ".m.deadbeef")


def plant(*folders: Path) -> dict[Path, int]:
    """Leave such files and folders in each folder, and return them with their inodes."""
    planted = []
    for folder in folders:
        for name in FILES:
            (folder / name).write_text("not ours")
            planted.append(folder / name)
        for name in FOLDERS:
            (folder / name).mkdir()
            (folder / name / "inside").write_text("not ours")
            planted += [folder / name, folder / name / "inside"]
        (folder / "pipe").unlink(missing_ok=True)
        os.mkfifo(folder / "pipe")
        (folder / ".link.0123abcd").symlink_to("/etc/hostname")
        planted += [folder / "pipe", folder / ".link.0123abcd"]
    return inodes(*planted)


def inodes(*paths: Path) -> dict[Path, int]:
    return {path: path.lstat().st_ino for path in paths}
