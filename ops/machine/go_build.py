"""Build the programs of a Go module, beside other builds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ops.machine.build_display import Count
from ops.machine.build_run import run_build
from ops.machine.builds import sharing
from ops.machine.go_toolchain import go_toolchain
from ops.report.terminal import Say

# Describing the code for a debugger takes the compiler a sixth of its time, and -s -w drops it.
_FLAGS = ("-gcflags=all=-dwarf=false",)
_STALE = "stale "
_LIST = f"{{{{if .Stale}}}}{_STALE}{{{{.ImportPath}}}}{{{{end}}}}"


def go_install(
    name: str, module: Path, into: Path, *, work: Path, flags: Sequence[str] = (), say: Say
) -> None:
    """Install the programs that a module's `tool` lines name; a cut build resumes in Go's cache.

    Args:
        name: The build in messages.
        module: The directory of go.mod and go.sum.
        into: Receives the programs.
        work: A directory for logs.
        flags: Added to `go install`; those of the linker should include `-s -w`.
        say: Prints a line.

    Raises:
        OpsError: when Go is missing, the disk is full, no registry answers or the build fails.
    """
    go = go_toolchain(say)
    env = {"GOBIN": str(into), "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}
    with sharing(say) as shared:
        while not shared.jobs.go_turn(timeout_s=0.5):
            shared.check()
        with shared.jobs.go() as jobs:
            packages = work / "packages.log"
            # What Go compiled before is not compiled again; the programs are always linked.
            run_build(
                name,
                [go, "list", "-deps", f"-f={_LIST}", *_FLAGS, *flags, "tool"],
                log=packages,
                progress=lambda _output: "fetching sources",
                say=say,
                env=env,
                cwd=module,
            )
            total = packages.read_text().count(f"\n{_STALE}") + 1
            run_build(
                name,
                [go, "install", "-v", f"-p={jobs}", *_FLAGS, *flags, "tool"],
                log=work / "build.log",
                progress=lambda output: compiled(output, total),
                say=say,
                env=env,
                cwd=module,
            )


def compiled(output: str, total: int) -> Count:
    """Count the packages in the output of `go install -v`.

    Args:
        output: One line for each package when its compiler starts, and messages of Go itself.
        total: Packages to compile.
    """
    lines = output.splitlines()
    done = sum(1 for line in lines if line and not line.startswith("go: "))
    return Count(done=min(done, total), total=total, unit="packages")
