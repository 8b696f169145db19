"""Write the names that each pinned build of llama.cpp knows: `python -m tools.engine_lists`.

It reads them from the build's sources at PyPI, as `ops lock` does for a build that it pins.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ops.errors import OpsError
from ops.machine.llama_build import ENGINES, package, pinned
from ops.machine.llama_names import names_in, read_names, render_names, write_names
from ops.report.terminal import Say, say


def renew(folder: Path, *, say: Say) -> None:
    """Write the list of each pinned build and remove the others.

    Args:
        folder: Has the lists.
        say: Takes a line for the operator.

    Raises:
        OpsError: when PyPI does not have the sources, or they have no such names.
    """
    builds = pinned()
    for build in builds:
        with tempfile.TemporaryDirectory() as name:
            names = names_in(package(build, Path(name), say))
        write_names(folder, build, names)
        counts = f"{len(names.architectures)} architectures, {len(names.projectors)} projectors"
        say(f"b{build}: {counts}")
    for build in read_names(folder).keys() - builds.keys():
        (folder / f"{build}.json").unlink()


def stale(folder: Path) -> list[str]:
    """Name the lists that `renew` would write or remove; needs no network."""
    builds, lists = pinned(), read_names(folder)
    return [
        f"{build}.json"
        for build in sorted(builds.keys() | lists.keys())
        if build not in lists
        or lists[build].sha256 != builds.get(build)
        or (folder / f"{build}.json").read_text() != render_names(lists[build])
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the lists, or only compare them with the pins (--check). Exit code: 0, 1 if stale."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"error: arguments are {' '.join(arguments)}; expected none or --check\n")
        return 2
    if not arguments:
        renew(ENGINES, say=say)
        return 0
    if names := stale(ENGINES):
        raise OpsError(
            f"tools/engines: {', '.join(names)} differ from the pinned builds; "
            "run `make engine-lists`"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OpsError as error:
        sys.exit(f"error: {error}")
