"""An environment with cdktn in place of cdktf, for the test of the move."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import install_environment
from ops.report.terminal import Say

_REQUIREMENTS = TOOLS / "cdktn-requirements.txt"


def cdktn_python(say: Say) -> Path:
    """Return the Python of that environment, which is made once for all checkouts.

    Raises:
        OfflineError: when no package registry answers.
        OpsError: when the packages are there and cannot be installed.
    """
    ingredients = f"{_REQUIREMENTS.read_text()} {sys.base_prefix} {sys.version}"
    target = target_of("cdktn", ingredients)

    def build(fresh: Path) -> None:
        say(f"installing cdktn once for all checkouts, into {target}")
        log = work_dir(target) / "install.log"
        install_environment("cdktn", _REQUIREMENTS, fresh, log=log, say=say)

    return built_once("cdktn", target, ("bin/python",), build, say=say) / "bin/python"
