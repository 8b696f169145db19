"""Download the GGUF files of a plan to a volume; runs in the download Job.

Uses several connections for each file, resumes after a killed run, and publishes a file only after
the sha256 of its bytes on the volume is correct.

    python3 -m download --plan download-plan.json --models /models
    python3 -m download --plan download-plan.json --models /models --verify --prune --dry-run

On the volume: blobs/<sha256> are complete, checked files and never change;
sets/<digest>/model.gguf and mmproj.gguf are links to blobs that belong together (a split model has
model-00001-of-00003.gguf and so on); <model id> is a link to the model's set, so that all files of
a model change at once. A folder of that name, which
another Job left, is renamed to <model id>.before; missing files in it are used, not downloaded.

Environment: HF_TOKEN, HF_ENDPOINT, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE,
SSL_CERT_DIR.

Exit codes: 0 done; 16 another run uses the volume; 28 no space; 65 invalid plan, or wrong sha256
twice; 75 temporary error (network, 5xx); 77 no access; 78 hub or volume differ from the plan. The
Job retries only 16 and 75.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from .contract import BAD_DATA, TRANSIENT
from .errors import DownloadError
from .folders import foreign_text
from .hub import Hub
from .plan import read_plan
from .progress import PlainReport, Say
from .pull import pull
from .run import Options
from .upkeep import prune, verify, wrong_text
from .volume_errors import volume_error


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.connections < 1 or min(options.rate_mb_s, options.lease_s, options.timeout_s) <= 0:
        parser.error("--connections, --rate-mb-s, --lease-s and --timeout-s must be above 0")
    if (options.quarantine and not options.verify) or (options.dry_run and not options.prune):
        parser.error("--quarantine requires --verify, and --dry-run requires --prune")
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        run(options, _say)
    except (DownloadError, OSError) as error:
        if isinstance(error, OSError):
            error = volume_error(options.models, error)
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.code
    return 0


def run(arguments: argparse.Namespace, say: Say) -> None:
    """Prune, verify or download, as the command line says.

    Raises:
        DownloadError: when that fails, or a verified file is wrong.
    """
    plan = read_plan(arguments.plan)
    if line := foreign_text(arguments.models, plan.models):
        say(line)
    options = Options(
        connections=arguments.connections,
        patience_s=arguments.patience_s,
        lease_s=arguments.lease_s,
        wait_s=arguments.wait_s,
    )
    if arguments.prune:
        prune(
            arguments.models,
            plan,
            grace_s=arguments.grace_h * 3600,
            dry_run=arguments.dry_run,
            options=options,
            say=say,
        )
    wrong: frozenset[str] = frozenset()
    if arguments.verify:
        wrong = verify(arguments.models, rate_mb_s=arguments.rate_mb_s, say=say)
    if arguments.quarantine or not (arguments.prune or arguments.verify):
        hub = Hub(timeout_s=arguments.timeout_s)
        report = PlainReport(say)
        pull(plan, arguments.models, hub, wrong=wrong, options=options, report=report, say=say)
    if wrong:
        quarantined = "; those of the plan were replaced"
        remedy = quarantined if arguments.quarantine else ". Replace them with --quarantine."
        raise DownloadError(BAD_DATA, f"{wrong_text(arguments.models, wrong)}{remedy}")


def _end(number: int, _frame: FrameType | None) -> None:
    raise DownloadError(TRANSIENT, f"ended by signal {number}; the next run resumes")


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--plan", type=Path, required=True, help="read this plan (JSON)")
    add("--models", type=Path, required=True, help="use the volume mounted in this directory")
    add(
        "--connections",
        type=int,
        default=Options().connections,
        help="open at most this many connections, in all (default: %(default)s)",
    )
    add(
        "--timeout-s",
        type=float,
        default=30.0,
        help="end a silent connection after this many seconds (default: %(default)s)",
    )
    add(
        "--patience-s",
        type=float,
        default=Options().patience_s,
        help="fail after this many seconds without any data (default: %(default)s)",
    )
    add(
        "--lease-s",
        type=float,
        default=Options().lease_s,
        help="take over from a run without heartbeat for this many seconds (default: %(default)s)",
    )
    add(
        "--wait-s",
        type=float,
        default=Options().wait_s,
        help="wait this many seconds for another run to end (default: %(default)s)",
    )
    add("--verify", action="store_true", help="hash every complete file; download nothing")
    add(
        "--quarantine",
        action="store_true",
        help="with --verify: download wrong files again and set the old ones aside",
    )
    add(
        "--rate-mb-s",
        type=float,
        default=100.0,
        help="with --verify: read at most this many MB/s (default: %(default)s)",
    )
    add("--prune", action="store_true", help="remove unused files; download nothing")
    add(
        "--grace-h",
        type=float,
        default=168.0,
        help="with --prune: keep a file for this many hours after a prune first found it unused "
        "(default: %(default)s)",
    )
    add(
        "--dry-run",
        action="store_true",
        help="with --prune: list the unused files; remove nothing",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
