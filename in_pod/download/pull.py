"""Make the volume hold what the plan says."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterator
from pathlib import Path

from .contract import BLOBS, JOURNAL, LEASE_FILE, NO_SPACE, PARTIAL, SETS
from .errors import DownloadError
from .hub import Hub
from .journal import Journal
from .lease import Lease
from .plan import File, Plan
from .progress import Report, Say, size_text
from .run import Options, Run
from .volume import UNNEEDED, is_complete, is_published, publish, remove, set_name


def pull(
    plan: Plan,
    models: Path,
    hub: Hub,
    *,
    wrong: frozenset[str] = frozenset(),
    publishing: bool = True,
    options: Options,
    report: Report,
    say: Say,
) -> None:
    """Make the volume hold what the plan says; what it holds already costs no request.

    Args:
        plan: The plan.
        models: The volume's directory.
        hub: Where missing files come from.
        wrong: The sha256 of files that are there with other bytes: each is replaced when the right
            ones have come, and set aside. Left out: none.
        publishing: Whether each model's link moves when its files are there; when not, what is
            served stays as it is.
        options: How patient and greedy.
        report: Takes the progress, several times a second.
        say: Takes a line for whoever waits.

    Raises:
        DownloadError: when that cannot be done.
    """
    if wrong or not _is_whole(plan, models):
        models.mkdir(parents=True, exist_ok=True)
        with Lease(models, lease_s=options.lease_s, wait_s=options.wait_s, say=say) as lease:
            (models / BLOBS).mkdir(exist_ok=True)
            missing = [
                file
                for file in plan.files
                if file.sha256 in wrong or not is_complete(models, file)
            ]
            _clear(models, plan, keep={file.sha256 for file in missing})
            if missing:
                _check_space(models, missing, say)
                run = Run(
                    plan,
                    missing,
                    models,
                    hub,
                    publishing=publishing,
                    options=options,
                    lease=lease,
                    say=say,
                )
                run(report)
            if publishing:
                publish(models, plan, say=say)
            _clear(models, plan)
    said = "are there" if publishing else "are there, and not published"
    say(f"all {len(plan.files)} files of {len(plan.models)} models {said}")


def _check_space(models: Path, missing: list[File], say: Say) -> None:
    """Refuse to start what cannot be finished.

    Raises:
        DownloadError: with NO_SPACE.
    """
    total = sum(file.size_bytes for file in missing)
    there = sum(Journal.bytes_of(models / BLOBS, file) for file in missing)
    needed = total - there
    needed += needed // 20
    free = shutil.disk_usage(models).free
    say(
        f"{len(missing)} files to download, {size_text(total)}, of which {size_text(there)} are "
        f"there; {size_text(free)} are free"
    )
    if needed > free:
        raise DownloadError(
            NO_SPACE,
            f"{models}: {size_text(free)} free, {size_text(needed)} needed (5 % to spare); "
            "enlarge the volume, or --prune what the registry no longer names",
        )


def _clear(models: Path, plan: Plan, keep: Container[str] = ()) -> None:
    for path in list(_leftovers(models, plan)):
        if path.name != LEASE_FILE and path.stem not in keep:
            remove(path)


def _is_whole(plan: Plan, models: Path) -> bool:
    return (
        all(is_complete(models, file) for file in plan.files)
        and all(is_published(models, model, links) for model, links in plan.models.items())
        and not any(_leftovers(models, plan))
    )


def _leftovers(models: Path, plan: Plan) -> Iterator[Path]:
    """Find what a killed run left behind, and notes of a prune on what is needed again."""
    yield from models.glob(f"{LEASE_FILE}*")
    yield from models.glob(".*.????????")
    yield from (models / SETS).glob(".*")
    for path in (models / BLOBS).glob("*.*"):
        if path.suffix in (PARTIAL, JOURNAL) and path.with_suffix("").exists():
            yield path
    needed = [file.sha256 for file in plan.files]
    needed += [name for model, links in plan.models.items() for name in (model, set_name(links))]
    for name in needed:
        if (note := models / UNNEEDED / name).exists():
            yield note
