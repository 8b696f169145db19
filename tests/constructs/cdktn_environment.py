"""An environment with cdktn in place of cdktf, for the test of the move."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, cache_dir, run_build
from ops.machine.checkout import TOOLS
from ops.report.terminal import Say

_REQUIREMENTS = TOOLS / "cdktn-requirements.txt"
_UNREACHABLE = re.compile(
    r"from versions: none|HTTPS?ConnectionPool|ConnectionError|ProxyError|timed out", re.IGNORECASE
)


class UnreachableError(OpsError):
    """The packages cannot be downloaded here."""


def cdktn_python(say: Say) -> Path:
    """Return the Python of that environment, which is made once for all checkouts.

    Raises:
        UnreachableError: when no package registry answers.
        OpsError: when the packages are there and cannot be installed.
    """
    ingredients = f"{_REQUIREMENTS.read_text()} {sys.base_prefix} {sys.version}"
    key = hashlib.sha256(ingredients.encode()).hexdigest()[:16]
    target = cache_dir() / "cdktn" / key

    def build(fresh: Path) -> None:
        say(f"installing cdktn once for all checkouts, into {target}; about 30 s")
        for command in (
            (sys.executable, "-m", "venv", str(fresh)),
            (
                *(str(fresh / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"),
                *("--disable-pip-version-check", "--retries=1", "--timeout=15"),
                *("--require-hashes", "--requirement", str(_REQUIREMENTS)),
            ),
        ):
            run_build(
                "the environment with cdktn",
                command,
                log=target.parent / "build.log",
                progress=lambda _: "installing",
                say=say,
                env={},
            )

    try:
        return built_once("cdktn", target, ("bin/python",), build, say=say) / "bin/python"
    except OpsError as error:
        if _UNREACHABLE.search(str(error)):
            raise UnreachableError(str(error)) from error
        raise
