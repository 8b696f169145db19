"""Compare our warm-up with cat, dd and vmtouch on a cold file, also with 1 ms per read.

    python -m benchmarks.download.warm --folder /var/tmp/bench

Before each run the file's pages are dropped. A resident share below 100 % afterwards means that
the kernel evicted pages meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.download import slow_fuse
from benchmarks.download.measured import measured
from benchmarks.download.tools import make_files
from in_pod.warm.memory import resident_pages

_OURS = "warm"


def commands(volume: Path, blob: Path, folder: Path) -> dict[str, list[str]]:
    """Return the ways to read a file into memory: name -> command."""
    plan = folder / "warm-plan.json"
    file = {"name": "model.gguf", "sha256": blob.name, "size_bytes": blob.stat().st_size}
    plan.write_text(json.dumps({"version": 1, "models": [{"id": "m", "files": [file]}]}))
    ways = {
        _OURS: [sys.executable, "-m", "in_pod.warm", "--plan", str(plan), "--models", str(volume)],
        "cat": ["cat", str(blob)],
        "dd bs=1M": ["dd", f"if={blob}", "of=/dev/null", "bs=1M", "status=none"],
        "vmtouch -t": ["vmtouch", "-qt", str(blob)],
    }
    if not shutil.which("vmtouch"):
        print("skipped vmtouch: not on PATH (apt install vmtouch)")
        del ways["vmtouch -t"]
    return ways


def drop(path: Path) -> None:
    """Drop a file's pages."""
    with path.open("rb") as content:
        os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def compare(volume: Path, backing: Path, folder: Path, rounds: int) -> None:
    """Print one row per way.

    Args:
        volume: The models' directory, perhaps behind FUSE.
        backing: The model's file on the local disk.
        folder: For the plan.
        rounds: Rounds per way, in turn.
    """
    blob = volume / "blobs" / backing.name
    size = blob.stat().st_size
    runs_of_way: dict[str, list[tuple[float, float, float]]] = {}
    ways = commands(volume, blob, folder)
    for _ in range(rounds):
        for name, words in ways.items():
            drop(blob)
            drop(backing)
            if blob != backing:
                # Measure only the cost of the file system above.
                subprocess.run(["cat", str(backing)], check=True, stdout=subprocess.DEVNULL)
            cold = resident_pages(blob)
            assert cold is not None
            assert sum(cold) < 0.05 * len(cold), "the file did not become cold"
            cost = measured(words, {}, synced=False)
            assert cost.code == 0
            pages = resident_pages(blob)
            assert pages is not None
            share = 100 * sum(pages) / len(pages)
            runs_of_way.setdefault(name, []).append((cost.wall_s, cost.cpu_s, share))
            time.sleep(0.2)
    print("| way | s per round | MB/s | CPU s | resident | time |")
    print("|---|---|---|---|---|---|")
    walls = {name: statistics.median(run[0] for run in runs) for name, runs in runs_of_way.items()}
    for name, runs in runs_of_way.items():
        times, cpus, shares = zip(*runs, strict=True)
        print(
            f"| {name} | {', '.join(f'{seconds:.2f}' for seconds in times)} | "
            f"{size / 1e6 / walls[name]:.0f} | {statistics.median(cpus):.2f} | "
            f"{statistics.median(shares):.1f} % | {walls[name] / walls[_OURS]:.2f}x |"
        )
    print()


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="Work in this directory (default: a temporary one)."
    )
    parser.add_argument(
        "--gib", type=float, default=4, help="Size of the file (default: %(default)s)."
    )
    parser.add_argument(
        "--slow-gib",
        type=float,
        default=1,
        help="Size of the file behind FUSE (default: %(default)s).",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="Rounds per way (default: %(default)s)."
    )
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        for gib, slow in ((options.gib, False), (options.slow_gib, True)):
            backing = publish(folder / f"volume-{slow}", int(gib * 2**30))
            volume = backing.parent.parent
            if slow:
                if lacking := slow_fuse.lacking():
                    print(f"skipped 1 ms per read: {lacking}")
                    continue
                volume = stack.enter_context(slow_fuse.mounted(volume, folder / "slow"))
            print(f"{gib:g} GiB{', 1 ms per read (FUSE)' if slow else ''}\n")
            compare(volume, backing, folder, options.rounds)


def publish(volume: Path, size_bytes: int) -> Path:
    """Make a volume with one model of random bytes; return its blob."""
    files = make_files(volume / "blobs", 1, size_bytes)
    ((name, sha256),) = files.sha256.items()
    blob = (volume / "blobs" / name).rename(volume / "blobs" / sha256)
    (volume / "sets" / "s").mkdir(parents=True)
    (volume / "sets" / "s" / "model.gguf").symlink_to(f"../../blobs/{sha256}")
    (volume / "m").symlink_to("sets/s")
    return blob


if __name__ == "__main__":
    main()
