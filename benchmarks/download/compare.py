"""Compare our download program with its peers: time, CPU, memory, bytes, and checks.

    python -m benchmarks.download.compare --folder /var/tmp/bench --gib 2 --rounds 2

The tools take turns to download the same two files from the same hub. The time ends when all bytes
are on disk. The limit is a process that writes as many bytes and syncs them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.download.hub_process import serving
from benchmarks.download.measured import Cost, measured
from benchmarks.download.tools import (
    ARIA2,
    CURL,
    CURL_CHECKED,
    HUGGINGFACE_HUB,
    OURS,
    Files,
    Tool,
    make_files,
)

_TOOLS = (OURS, CURL, CURL_CHECKED, ARIA2, HUGGINGFACE_HUB)
_WRITE = """
import os, sys
folder, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
buffer = os.urandom(1 << 24)
for index in range(count):
    with open(f"{folder}/limit-{index}", "wb", buffering=0) as file:
        left = size
        while left:
            left -= file.write(buffer[:left])
        os.fdatasync(file.fileno())
"""


def checks_bytes(tool: Tool, folder: Path) -> bool:
    """Tell whether a tool fails if the hub sends a wrong byte in every answer."""
    files = make_files(folder / "flipped", 1, 8 << 20)
    target = folder / "flipped-target"
    target.mkdir()
    with serving(files.folder, flips=True) as hub:
        cost = measured(*tool.command(hub.url, files, target))
    refused = cost.code != 0
    shutil.rmtree(files.folder)
    shutil.rmtree(target)
    return refused


def rounds(
    tools: list[Tool], files: Files, target: Path, *, rate_mb_s: float, count: int
) -> tuple[dict[str, list[Cost]], dict[str, float]]:
    """Run every tool, and the limit, `count` times in turn."""
    costs: dict[str, list[Cost]] = {"write and sync": []}
    sent_mib: dict[str, float] = {"write and sync": 0}
    for _ in range(count):
        if not rate_mb_s:
            target.mkdir()
            words = [sys.executable, "-c", _WRITE, str(target)]
            size = files.size_bytes // len(files.sha256)
            cost = measured([*words, str(len(files.sha256)), str(size)], {})
            costs["write and sync"].append(cost)
            shutil.rmtree(target)
        for tool in tools:
            target.mkdir()
            with serving(files.folder, rate_mb_s=rate_mb_s) as hub:
                cost = measured(*tool.command(hub.url, files, target))
                sent_mib[tool.name] = hub.sent_bytes() / 2**20
            if cost.code or not tool.has(files, target):
                sys.exit(f"{tool.name} ended with exit code {cost.code}, or wrong files")
            costs.setdefault(tool.name, []).append(cost)
            print(f"  {tool.name}: {cost.wall_s:.1f} s", file=sys.stderr, flush=True)
            shutil.rmtree(target)
    return costs, sent_mib


def table(
    costs: dict[str, list[Cost]], sent_mib: dict[str, float], checks: dict[str, bool], mib: float
) -> dict[str, float]:
    """Print one row per tool; return the median time of each."""
    walls = {
        name: statistics.median(cost.wall_s for cost in costs_of_tool)
        for name, costs_of_tool in costs.items()
        if costs_of_tool
    }
    print("| tool | wall s per round | MB/s | CPU s | peak MiB | sent MiB | wrong byte | time |")
    print("|---|---|---|---|---|---|---|---|")
    for name, wall in walls.items():
        costs_of_tool = costs[name]
        times = ", ".join(f"{cost.wall_s:.1f}" for cost in costs_of_tool)
        verdict = {True: "refused", False: "accepted", None: "-"}[checks.get(name)]
        print(
            f"| {name} | {times} | {mib * 2**20 / 1e6 / wall:.0f} | "
            f"{statistics.median(cost.cpu_s for cost in costs_of_tool):.1f} | "
            f"{max(cost.peak_mib for cost in costs_of_tool):.0f} | {sent_mib[name]:.0f} | "
            f"{verdict} | {wall / walls[OURS.name]:.2f}x |"
        )
    print()
    return walls


def goal(name: str, ratio: float, bound: float, *, at_most: bool = False) -> None:
    """Print a ratio beside its goal."""
    met = ratio <= bound if at_most else ratio >= bound
    sign = "<=" if at_most else ">="
    print(f"{'met' if met else 'NOT MET':8}{name}: {ratio:.2f} (goal {sign} {bound})")


def main() -> None:
    """Print two tables and the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="Work in this directory (default: a temporary one)."
    )
    parser.add_argument(
        "--gib",
        type=float,
        default=2,
        help="Size of each of the two files (default: %(default)s).",
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="Rounds per tool (default: %(default)s)."
    )
    options = parser.parse_args()
    tools = [tool for tool in _TOOLS if not tool.lacking]
    for tool in _TOOLS:
        if tool.lacking:
            print(f"skipped {tool.name}: {tool.lacking}")
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        checks = {tool.name: checks_bytes(tool, folder) for tool in tools}
        files = make_files(folder / "hub", 2, int(options.gib * 2**30))
        mib = files.size_bytes / 2**20
        print(f"\n2 x {options.gib:g} GiB from loopback, no limit, {options.rounds} rounds\n")
        costs, sent = rounds(tools, files, folder / "to", rate_mb_s=0, count=options.rounds)
        walls = table(costs, sent, checks, mib)
        print(f"2 x {options.gib:g} GiB at 50 MB/s a connection, one round\n")
        slow_costs, sent = rounds(tools, files, folder / "to", rate_mb_s=50, count=1)
        slow = table(slow_costs, sent, checks, mib)
    ours = OURS.name
    goal(
        "time against writing and syncing",
        walls[ours] / walls["write and sync"],
        1.3,
        at_most=True,
    )
    for what, peers in (
        ("best peer", [tool.name for tool in tools if tool is not OURS]),
        (
            "best peer that checks",
            [name for name, refuses in checks.items() if refuses and name != ours],
        ),
    ):
        if peers:
            ratio = min(walls[name] for name in peers) / walls[ours]
            goal(f"{what} against ours, no limit", ratio, 1.5)
    if HUGGINGFACE_HUB in tools:
        ratio = slow[HUGGINGFACE_HUB.name] / slow[ours]
        goal("huggingface_hub against ours, 50 MB/s a connection", ratio, 5)
    every = costs[ours] + slow_costs[ours]
    goal("peak memory in MiB", max(cost.peak_mib for cost in every), 64, at_most=True)


if __name__ == "__main__":
    main()
