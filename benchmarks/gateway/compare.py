"""Compare the gateway with LiteLLM alone and with the front end alone.

    python -m benchmarks.gateway.compare --seconds 120 --rounds 3 --json gateway.json

Eight clients ask three tiny models at random, a third of the time about a picture, with pauses of
up to 0.2 s. All doors lead to one front end and take turns, so noise hits all alike.
Then one client asks a loaded model through each door in turn.

"gateway" is one consumer, which may end its own models, so this door has the others' work. The
clients of "3 consumers" ask one model each, which the gateway protects from the other two.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.gateway import tables
from benchmarks.gateway.clients import Round, run_clients
from benchmarks.gateway.doors import MODELS, doors
from benchmarks.gateway.latency import requests, waits_s
from benchmarks.swap.arms import LACKING
from ops.commands.serve.run import available
from ops.errors import OpsError
from ops.machine.llama_server import llama_server
from ops.machine.signals import ended_by_signals
from ops.report.terminal import CONSOLE, say


def run(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    """Measure in an empty folder, and print the tables.

    Returns:
        Every figure, as plain data.
    """
    load_before = os.getloadavg()[0]
    with doors(folder, say=say) as ways:
        rounds: dict[str, list[Round]] = {door.name: [] for door in ways}
        for number in range(options.rounds):
            first = number % len(ways)
            for door in (*ways[first:], *ways[:first]):
                say(f"round {number + 1}: {door.name}")
                rounds[door.name].append(
                    run_clients(door, seconds=options.seconds, seed=f"{number}")
                )
        console.print(tables.rounds_table(rounds, options.seconds))
        one_client = [door for door in ways if len(door.callers) == 1]
        waits = {
            kind: waits_s(one_client, body, options.n)
            for kind, body in requests(MODELS[0]).items()
        }
    console.print(tables.waits_table(waits))
    console.print()
    for line in tables.goals(rounds, waits):
        console.print(line, highlight=False)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": (load_before, os.getloadavg()[0]),
        "rounds": {name: [asdict(each) for each in of_door] for name, of_door in rounds.items()},
        "waits_s": waits,
    }


def main() -> int:
    """Print the tables, write the data, and stop all processes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=120, help="Length of a round (default: %(default)s)."
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="Rounds of each door (default: %(default)s)."
    )
    parser.add_argument(
        "-n", type=int, default=200,
        help="Requests of one client through each door (default: %(default)s).",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write every figure here.")
    options = parser.parse_args()
    if "llama-swap" not in available():
        say(f"{LACKING}; llama-server's router takes its place")
    try:
        with ended_by_signals(), tempfile.TemporaryDirectory() as folder:
            llama_server(say)
            data = run(options, CONSOLE, Path(folder))
    except KeyboardInterrupt:
        print("interrupted; all processes are stopped", file=sys.stderr)
        return 130
    except (OpsError, OSError, RuntimeError) as error:
        print(f"error: {error or type(error).__name__}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(f"{json.dumps(data, indent=2)}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
