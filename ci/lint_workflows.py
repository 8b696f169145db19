"""Lint .github/workflows with actionlint and zizmor: `python -m ci.lint_workflows [FILE...]`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.errors import OpsError
from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.checkout import ROOT, TOOLS
from ops.machine.go_build import go_install
from ops.report.terminal import Say, say

_SOURCE = TOOLS / "actionlint"
_WORKFLOWS = ROOT / ".github" / "workflows"


def actionlint(say: Say) -> Path:
    """Return the program, built from tools/actionlint if needed.

    Args:
        say: Takes a line for the operator.

    Raises:
        OpsError: if it cannot be built; the message names the log.
    """
    pinned = (_SOURCE / "go.mod").read_text() + (_SOURCE / "go.sum").read_text()
    target = target_of("actionlint", pinned)

    def build(fresh: Path) -> None:
        say(f"building actionlint once, for all checkouts, into {target}: up to a minute")
        go_install(
            "actionlint", _SOURCE, fresh,
            work=work_dir(target), flags=("-ldflags=-s -w",), say=say,
        )  # fmt: skip

    return built_once("actionlint", target, ("actionlint",), build, say=say) / "actionlint"


def lint(workflows: Sequence[Path], *, say: Say) -> str:
    """Run both linters on workflows, without a network and without a token.

    Args:
        workflows: The files.
        say: Takes a line for the operator.

    Returns:
        Their findings; empty if there are none.

    Raises:
        OpsError: if a linter is missing or cannot be built.
    """
    zizmor = Path(sys.executable).parent / "zizmor"
    if not zizmor.is_file():
        raise OpsError(f"{zizmor} is not installed; run `make install`")
    complaints = ""
    for command in (
        [str(actionlint(say)), "-no-color"],
        [str(zizmor), "--offline", "--strict-collection", "--quiet", "--color=never"],
    ):
        result = subprocess.run(
            [*command, *map(str, workflows)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            complaints += result.stdout + result.stderr
    return complaints


def main(arguments: Sequence[str]) -> int:
    """Lint the named files (default: all workflows). Exit code: 0 clean, 1 not."""
    workflows = [Path(name) for name in arguments] or sorted(_WORKFLOWS.glob("*.y*ml"))
    if not workflows:
        raise OpsError(f"{_WORKFLOWS} has no workflow")
    complaints = lint(workflows, say=say)
    sys.stdout.write(complaints)
    if not complaints:
        say(f"{len(workflows)} workflows: actionlint and zizmor find nothing")
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OpsError as error:
        sys.exit(f"error: {error}")
