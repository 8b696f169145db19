"""`cdktf`, as `make install` puts it into .venv/bin: install cdktf-cli once, then run it.

Everything is cdktf-cli's own but Terraform, which an interrupted or killed cdktf-cli does not end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ops.cluster.environment import check_cluster, check_postgresql, check_terraform
from ops.errors import OpsError, reason_of
from ops.machine.checkout import ROOT
from ops.machine.node import CDKTF, install_packages, node_path
from ops.machine.signals import passed_on
from ops.report import terminal
from ops.terraform import under_cdktf

_NEED_TERRAFORM = frozenset(
    {"apply", "deploy", "destroy", "diff", "output", "outputs", "plan", "watch"}
)
_HELP = frozenset({"--help", "-h"})
_CONFIGURATION = "cdktf.json"


def main(arguments: list[str]) -> int:
    """Run cdktf-cli; print an error as one line on stderr.

    Args:
        arguments: Those of cdktf-cli.

    Returns:
        The exit code: that of cdktf-cli, or for a failed apply 1, an interrupted one 130.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except OpsError as error:
        with suppress(OSError):  # The terminal may be closed.
            sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        with suppress(OSError):
            sys.stderr.write(f"error: {reason_of(error)}\n")
        return 1


def _run(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder)
        env = {
            "PATH": node_path(),
            "CHECKPOINT_DISABLE": "1",
            # It would ask the registry, also where a mirror has the provider.
            "CDKTF_SKIP_PROVIDER_LOCK": "true",
        }
        if _NEED_TERRAFORM & set(arguments) and not _HELP & set(arguments):
            env |= under_cdktf.environment(check_terraform(_say), reports)
            if _project() == ROOT:
                check_postgresql()
                check_cluster()
        command = [str(install_packages(_say) / CDKTF), *arguments]
        returncode = _wait_for(command, env=env)
        under_cdktf.check_applies(reports, say=_say)
    return returncode if returncode >= 0 else 128 - returncode


def _say(line: str) -> None:
    """Show a line on stderr: cdktf-cli's own output is on stdout."""
    with suppress(OSError):  # The terminal may be closed.
        terminal.say(line, console=terminal.ASIDE)


def _wait_for(command: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run cdktf-cli to its end, and pass each signal on."""
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int) -> None:
        for process in started:
            process.send_signal(number)

    with passed_on(pass_on):
        environment = os.environ | env
        # Without bytecode every synth compiles 1 million lines of bindings again.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(command, cwd=_project(), env=environment)
        started.append(process)
        return process.wait()


def _project() -> Path:
    """The directory of the project in which the command was typed."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _CONFIGURATION).is_file():
            return folder
    return here
