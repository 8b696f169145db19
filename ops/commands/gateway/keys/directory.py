"""Keys in a directory on this machine, one file per consumer, as a pod mounts the Secret."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.commands.gateway.keys.store import Edit, Stored
from ops.errors import writing
from ops.machine.private_file import private_directory, read_private, write_private


class KeysDirectory:
    """The files of a directory; the owner alone can enter it."""

    def __init__(self, path: Path) -> None:
        """Name the directory; it is made by the first change."""
        self._path = path
        self.place = str(path)
        self.options = f" --dir {shlex.quote(str(path))}"

    def read(self) -> Stored:
        """Read every file; one that begins with a dot is no entry.

        Raises:
            OpsError: when the directory or a file is not this user's alone.
        """
        if not os.path.lexists(self._path):
            return Stored(entries={})
        private_directory(self._path)
        return Stored(
            entries={
                file.name: read_private(file)
                for file in sorted(self._path.iterdir())
                if not file.name.startswith(".")
            }
        )

    def change(self, edit: Edit) -> Stored:
        """Change the files; another change waits.

        Raises:
            OpsError: as `read`, when a file cannot be written, and what `edit` raises.
        """
        private_directory(self._path)
        with writing(self._path), self._locked():
            before = self.read()
            after = edit(before.entries)
            for consumer in before.entries.keys() - after.keys():
                (self._path / consumer).unlink()
            for consumer, entry in after.items():
                if entry != before.entries.get(consumer):
                    # Readers see the old file or the new one, never half of it.
                    fresh = self._path / f".{consumer}"
                    write_private(fresh, entry)
                    fresh.replace(self._path / consumer)
        return before

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
