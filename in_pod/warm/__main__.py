"""Read the models into the page cache of the node that serves them; runs before llama-swap starts.

Waits until the download Job has published what the plan names, then reads each model in the
plan's order, as far as memory allows. Whatever goes wrong, the exit code is 0: a cold model is
slow, a pod that does not start is worse.

    python3 -m warm --plan warm-plan.json --models /models --wait-s 3600

Eight threads with 4 MiB reads: a single reader waits for each answer of NFS, and an advice to the
kernel (WILLNEED) loads one read-ahead window only. The last line is the report, JSON.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from .plan import read_plan
from .warming import warm_all


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0 whatever happens, except for wrong usage."""

    def say(line: str) -> None:
        print(line, flush=True)

    parser = argparse.ArgumentParser(
        prog="warm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", type=Path, required=True, help="the plan, JSON")
    parser.add_argument("--models", type=Path, required=True, help="the volume's directory")
    parser.add_argument("--wait-s", type=float, default=3600.0, help="at most (%(default)s)")
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        report = warm_all(read_plan(options.plan), options.models, options.wait_s, say)
    except Exception as error:  # Nothing that goes wrong here is worth a pod that does not start.
        report = {"event": "warm", "error": f"{type(error).__name__}: {error}"}
    say(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
