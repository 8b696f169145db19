"""An environment with cdktn in place of cdktf, for the test of the move."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from ops.machine.build_cache import built_once, cache_dir
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import installed
from ops.report.terminal import Say

_REQUIREMENTS = TOOLS / "cdktn-requirements.txt"


def cdktn_python(say: Say) -> Path:
    """Return the Python of that environment, which is made once for all checkouts.

    Raises:
        OfflineError: when no package registry answers.
        OpsError: when the packages are there and cannot be installed.
    """
    ingredients = f"{_REQUIREMENTS.read_text()} {sys.base_prefix} {sys.version}"
    key = hashlib.sha256(ingredients.encode()).hexdigest()[:16]
    target = cache_dir() / "cdktn" / key

    def build(fresh: Path) -> None:
        say(f"installing cdktn once for all checkouts, into {target}")
        installed("cdktn", _REQUIREMENTS, fresh, say=say)

    return built_once("cdktn", target, ("bin/python",), build, say=say) / "bin/python"
