"""Count the bytes that each tool fetches again after its download was killed halfway.

    python -m benchmarks.download.resume --folder /var/tmp/bench

The tool gets SIGKILL when the hub has sent half of the file, then runs again until it succeeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.download.hub_process import serving
from benchmarks.download.measured import measured
from benchmarks.download.tools import (
    ARIA2,
    ARIA2_SAVING,
    CURL,
    HUGGINGFACE_HUB,
    OURS,
    Files,
    Tool,
    make_files,
)

_TOOLS = (OURS, CURL, ARIA2, ARIA2_SAVING, HUGGINGFACE_HUB)
_RATE_MB_S = 200.0


def again_mib(tool: Tool, files: Files, target: Path) -> float:
    """Kill a tool halfway and run it again; return the MiB sent beyond the file's size."""
    half = files.size_bytes / 2
    target.mkdir()
    with serving(files.folder, rate_mb_s=_RATE_MB_S) as hub:
        command = tool.command(hub.url, files, target)
        killed = measured(*command, synced=False, kill_when=lambda: hub.sent_bytes() >= half)
        if killed.code != -9:
            sys.exit(f"{tool.name} ended before it was killed; pass a larger --gib")
        finished = measured(*command)
        sent = hub.sent_bytes()
    if finished.code or not tool.has(files, target):
        sys.exit(f"{tool.name} did not succeed (exit code {finished.code})")
    shutil.rmtree(target)
    return (sent - files.size_bytes) / 2**20


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="Work in this directory (default: a temporary one)."
    )
    parser.add_argument(
        "--gib", type=float, default=2, help="Size of the file (default: %(default)s)."
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        files = make_files(Path(temporary) / "hub", 1, int(options.gib * 2**30))
        mib = files.size_bytes / 2**20
        print(f"{options.gib:g} GiB, killed at 50 %, {_RATE_MB_S:.0f} MB/s a connection\n")
        print("| tool | fetched again, MiB | share of the file |")
        print("|---|---|---|")
        for tool in _TOOLS:
            if tool.lacking:
                print(f"| {tool.name} | skipped: {tool.lacking} | |", flush=True)
                continue
            again = again_mib(tool, files, Path(temporary) / "to")
            print(f"| {tool.name} | {again:.1f} | {100 * again / mib:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
