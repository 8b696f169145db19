"""Prometheus and promtool: the machine's, or built from tools/prometheus."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops.machine.build_cache import built_once, is_complete, target_of, work_dir
from ops.machine.checkout import TOOLS
from ops.machine.go_build import go_install
from ops.report.terminal import Say

_MODULE = TOOLS / "prometheus"
_PROGRAMS = ("prometheus", "promtool")
_FLAGS = (
    "-ldflags=-s -w",
    # One target with a fixed address is scraped: no cloud's service discovery is needed.
    "-tags=remove_all_sd",
)


def prometheus(say: Say) -> Path:
    """Return the directory of both programs, after building them where PATH lacks one.

    Args:
        say: Receives a line for the operator.

    Raises:
        OpsError: when the build fails, naming its log.
    """
    on_path, target = _on_path(), _target()
    if on_path is not None:
        return on_path

    def install(fresh: Path) -> None:
        say(f"building Prometheus, once for all checkouts, into {target}")
        go_install("Prometheus", _MODULE, fresh, work=work_dir(target), flags=_FLAGS, say=say)

    return built_once("Prometheus", target, _PROGRAMS, install, say=say)


def is_at_hand() -> bool:
    """Whether nothing has to be built."""
    return _on_path() is not None or is_complete(_target(), _PROGRAMS)


def _on_path() -> Path | None:
    """Return the directory of both programs on PATH; None if they are not in one."""
    found = {shutil.which(name) for name in _PROGRAMS}
    folders = {Path(path).parent for path in found if path is not None}
    return folders.pop() if None not in found and len(folders) == 1 else None


def _target() -> Path:
    pinned = "".join((_MODULE / name).read_text() for name in ("go.mod", "go.sum"))
    return target_of("prometheus", f"{pinned}{_FLAGS}")
