"""Fill a volume with exactly the GGUF files that a plan names; runs in the download Job.

Several connections a file, resumed where a killed run stopped, and visible under its name only
after the sha256 of what is on the volume was right.

    python3 -m download --plan download-plan.json --models /models
    python3 -m download --plan download-plan.json --models /models --verify --prune --dry-run

On the volume: blobs/<sha256>, complete and checked, never written again; sets/<digest>/model.gguf
and mmproj.gguf, links to blobs that belong together; <model id>, one link to its set, so that a
model changes all its files at one moment.

Environment: HF_TOKEN, HF_ENDPOINT, HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

Exit codes: 0 done; 16 another run has the volume; 28 no space; 65 a broken plan, or wrong bytes
twice; 75 may heal by itself (network, 5xx); 77 no access; 78 the hub or the volume is not as the
plan says. The Job retries 16 and 75 alone.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from .contract import BAD_DATA, TRANSIENT
from .errors import DownloadError
from .hub import Hub
from .plan import read_plan
from .progress import PlainReport, Say
from .pull import pull
from .run import Options
from .upkeep import prune, verify, wrong_text
from .volume import volume_error


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit code says what the Job should do."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.connections < 1 or min(options.rate_mb_s, options.lease_s, options.timeout_s) <= 0:
        parser.error("--connections, --rate-mb-s, --lease-s and --timeout-s are above 0")
    if (options.quarantine and not options.verify) or (options.dry_run and not options.prune):
        parser.error("--quarantine goes with --verify, --dry-run with --prune")
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        run(options, _say)
    except (DownloadError, OSError) as error:
        known = error if isinstance(error, DownloadError) else volume_error(options.models, error)
        print(f"error: {known}", file=sys.stderr, flush=True)
        return known.code
    return 0


def run(options: argparse.Namespace, say: Say) -> None:
    """Do what the command line says.

    Raises:
        DownloadError: when it cannot be done.
    """
    plan = read_plan(options.plan)
    how = Options(
        connections=options.connections,
        patience_s=options.patience_s,
        lease_s=options.lease_s,
        wait_s=options.wait_s,
    )
    if options.prune:
        prune(
            options.models,
            plan,
            grace_s=options.grace_h * 3600,
            dry_run=options.dry_run,
            options=how,
            say=say,
        )
    wrong: frozenset[str] = frozenset()
    if options.verify:
        wrong = verify(options.models, rate_mb_s=options.rate_mb_s, say=say)
    if options.quarantine or not (options.prune or options.verify):
        hub = Hub(timeout_s=options.timeout_s)
        report = PlainReport(say)
        pull(plan, options.models, hub, wrong=wrong, options=how, report=report, say=say)
    if wrong:
        then = "those of the plan were" if options.quarantine else "--quarantine has them"
        raise DownloadError(BAD_DATA, f"{wrong_text(options.models, wrong)}; {then} replaced")


def _end(number: int, _frame: FrameType | None) -> None:
    raise DownloadError(TRANSIENT, f"ended by signal {number}; the next run goes on from here")


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--plan", type=Path, required=True, help="the plan, JSON")
    add("--models", type=Path, required=True, help="the volume's directory")
    add("--connections", type=int, default=Options().connections, help="default: %(default)s")
    add("--timeout-s", type=float, default=30.0, help="silence of one connection (%(default)s)")
    add("--patience-s", type=float, default=Options().patience_s, help="of all (%(default)s)")
    add("--lease-s", type=float, default=Options().lease_s, help="a dead run's (%(default)s)")
    add("--wait-s", type=float, default=Options().wait_s, help="for another run (%(default)s)")
    add("--verify", action="store_true", help="hash what is on the volume; download nothing")
    add("--quarantine", action="store_true", help="with --verify: replace what is wrong")
    add("--rate-mb-s", type=float, default=100.0, help="of --verify (%(default)s)")
    add("--prune", action="store_true", help="remove what nothing names; download nothing")
    add("--grace-h", type=float, default=168.0, help="with --prune: hours it stays (%(default)s)")
    add("--dry-run", action="store_true", help="with --prune: only list it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
