"""Prometheus and promtool: the machine's, or built from tools/prometheus."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops.machine.build_cache import built_once, target_of, work_dir
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
    found = {shutil.which(name) for name in _PROGRAMS}
    folders = {Path(path).parent for path in found if path is not None}
    if None not in found and len(folders) == 1:
        return folders.pop()
    pinned = "".join((_MODULE / name).read_text() for name in ("go.mod", "go.sum"))
    target = target_of("prometheus", f"{pinned}{_FLAGS}")

    def install(fresh: Path) -> None:
        say(f"building Prometheus, once for all checkouts, into {target}")
        go_install("Prometheus", _MODULE, fresh, work=work_dir(target), flags=_FLAGS, say=say)

    return built_once("Prometheus", target, _PROGRAMS, install, say=say)
