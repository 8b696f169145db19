"""Read the models into the page cache of their node; runs before the front end starts.

Waits until the download Job has published the models of the plan, then reads them in the plan's
order, as far as memory allows. The exit code is 0 even after an error: a cold model is slow, but a
pod that does not start is worse.

    python3 -m warm --plan warm-plan.json --models /models --wait-s 3600

Reads 4 MiB at a time in eight threads: a single reader waits for each answer of NFS, and the
advice WILLNEED loads only one read-ahead window. The last line is the report, JSON.
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
    """Run the program and return 0; only wrong usage exits with another code."""

    def say(line: str) -> None:
        print(line, flush=True)

    parser = argparse.ArgumentParser(
        prog="warm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", type=Path, required=True, help="read this plan (JSON)")
    parser.add_argument(
        "--models", type=Path, required=True, help="use the volume mounted in this directory"
    )
    parser.add_argument(
        "--wait-s",
        type=float,
        default=3600.0,
        help="wait this many seconds for the models to be published (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    # The first process of a container ignores SIGTERM without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        report = warm_all(read_plan(options.plan), options.models, options.wait_s, say)
    except Exception as error:  # No error may keep the pod from starting.
        report = {"event": "warm", "error": f"{type(error).__name__}: {error}"}
    say(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
