"""The estimates of gguf-parser-go, a Go library for llama.cpp's memory, for the same files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.vram.cases import Case
from benchmarks.vram.engine import Reserved
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.fit.vram import MIB, micro_batch
from ops.errors import OpsError
from ops.machine.build_cache import built_once, target_of, work_dir
from ops.machine.build_run import run_build
from ops.machine.checkout import TOOLS
from ops.report.terminal import Say

_SOURCE = TOOLS / "gguf-parser"
_PROGRAM = "gguf-parser"
VERSION = re.findall(r"gguf-parser-go (v\S+)", (_SOURCE / "go.mod").read_text())[0]
"""The version that tools/gguf-parser/go.mod pins."""


def gguf_parser(say: Say) -> Path:
    """Find or build the program that calls the library.

    Raises:
        OpsError: without Go, or when the build fails.
    """
    go = shutil.which("go")
    if go is None:
        raise OpsError("Go is not on PATH")
    files = ("go.mod", "go.sum", "main.go")
    pinned = "".join((_SOURCE / name).read_text() for name in files)
    target = target_of(_PROGRAM, pinned)

    def build(fresh: Path) -> None:
        run_build(
            _PROGRAM,
            [go, "build", "-o", str(fresh / _PROGRAM), "."],
            log=work_dir(target) / "build.log",
            progress=lambda _output: "compiling",
            say=say,
            env={"GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
            cwd=_SOURCE,
        )

    return built_once(_PROGRAM, target, (_PROGRAM,), build, say=say) / _PROGRAM


def estimated(program: Path, case: Case, folder: Path) -> Reserved | None:
    """Return its estimate of one llama-server's VRAM, without what CUDA itself takes.

    Args:
        program: From `gguf_parser`.
        case: The llama-server.
        folder: Holds its files.

    Returns:
        None for a file that the library cannot estimate.
    """
    model = case.model
    command = [str(program), "-model", str(folder / LINK_NAMES["model"])]
    if case.tower is not None:
        command += ["-mmproj", str(folder / LINK_NAMES["mmproj"])]
        command += ["-image-size", str(case.image_px)]
    command += ["-ctx-size", str(model.context), "-ubatch-size", str(micro_batch(model))]
    command += ["-parallel", str(model.parallel_slots), "-cache-type", model.kv_cache_type_k]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return None
    mib = {name: size / MIB for name, size in json.loads(ended.stdout).items()}
    return Reserved(**{"projector": 0.0, "vision_compute": 0.0, **mib})
