"""An environment with cdktn in place of cdktf, for the test of the move."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.machine.build_cache import built_once, target_of
from ops.machine.build_run import run_build
from ops.machine.checkout import TOOLS
from ops.machine.pypi_programs import uv
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
        python = fresh / "bin" / "python"
        into = ("--quiet", "--python", str(python))
        for words in (
            ("venv", "--quiet", "--clear", "--python", sys.executable, str(fresh)),
            ("pip", "install", *into, "--require-hashes", "-r", str(_REQUIREMENTS)),
        ):
            run_build(
                "the environment of cdktn",
                [uv(), *words],
                log=target.with_name(f"{target.name}.log"),
                progress=lambda _output: "installing from PyPI",
                say=say,
                env={"UV_NO_PROGRESS": "1"},
            )

    return built_once("cdktn", target, ("bin/python",), build, say=say) / "bin/python"
