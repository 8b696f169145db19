"""Download the missing files of a plan and publish its models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterator
from pathlib import Path

from .contract import BLOBS, JOURNAL, LEASE_FILE, NO_SPACE, PARTIAL, SETS, UNNEEDED, WRONG
from .errors import DownloadError
from .hub import Hub
from .journal import Journal
from .lease import Lease
from .names import is_blob, is_note, is_temporary, listed
from .opening import is_file, require_file, require_own_folders
from .plan import File, Plan
from .progress import Report, Say, size_text
from .run import Options, Run
from .take_over import take_over
from .volume import is_complete, is_published, publish, remove, require_links, set_name


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
    """Download the missing files of a plan and publish its models; skip complete files.

    Missing files that an earlier Job left in the models' folders are not downloaded.

    Args:
        plan: The plan.
        models: The volume's directory.
        hub: The source of missing files.
        wrong: The sha256 of corrupt files on the volume, which are set aside and replaced
            (default: none).
        publishing: Whether to move a model's link once its files are complete (default: yes).
        options: Connections and time limits.
        report: Called with the progress several times a second.
        say: Prints a line.

    Raises:
        DownloadError: when the download fails.
    """
    require_own_folders(models)
    if wrong or not _is_whole(plan, models):
        models.mkdir(parents=True, exist_ok=True)
        with Lease(models, lease_s=options.lease_s, wait_s=options.wait_s, say=say) as lease:
            require_links(models)
            (models / BLOBS).mkdir(exist_ok=True)
            for file in plan.files:
                for suffix in ("", PARTIAL, JOURNAL, WRONG):
                    require_file(models / BLOBS / f"{file.sha256}{suffix}")
            missing = [
                file
                for file in plan.files
                if file.sha256 in wrong or not is_complete(models, file)
            ]
            taken = take_over(models, plan, missing, lease=lease, say=say)
            missing = [file for file in missing if file.sha256 not in taken]
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
    state = "complete" if publishing else "complete, not published"
    say(f"all {len(plan.files)} files of {len(plan.models)} models are {state}")


def _check_space(models: Path, missing: list[File], say: Say) -> None:
    """Check that the missing files fit on the volume.

    Raises:
        DownloadError: with NO_SPACE when they do not.
    """
    total = sum(file.size_bytes for file in missing)
    present = sum(Journal.bytes_of(models / BLOBS, file) for file in missing)
    needed = total - present
    needed += needed // 20
    free = shutil.disk_usage(models).free
    say(
        f"{len(missing)} files to download, {size_text(total)}, of which {size_text(present)} are "
        f"on the volume; {size_text(free)} are free"
    )
    if needed > free:
        raise DownloadError(
            NO_SPACE,
            f"{models} has {size_text(free)} free; expected {size_text(needed)} (5 % to spare). "
            "Enlarge the volume, or prune unused files.",
        )


def _clear(models: Path, plan: Plan, keep: Container[str] = ()) -> None:
    for path in list(_leftovers(models, plan)):
        if path.stem not in keep:
            remove(path)


def _is_whole(plan: Plan, models: Path) -> bool:
    return (
        all(is_complete(models, file) for file in plan.files)
        and all(is_published(models, model, links) for model, links in plan.models.items())
        and not os.path.lexists(models / LEASE_FILE)
        and not any(_leftovers(models, plan))
    )


def _leftovers(models: Path, plan: Plan) -> Iterator[Path]:
    """Find leftovers of killed runs, and a prune's notes on files that are needed again."""
    for folder in (models, models / SETS):
        yield from filter(is_temporary, folder.glob(".*"))
    for path in filter(is_blob, listed(models / BLOBS)):
        if path.suffix in (PARTIAL, JOURNAL) and is_file(path.with_suffix("")):
            yield path
    needed = [file.sha256 for file in plan.files]
    needed += [name for model, links in plan.models.items() for name in (model, set_name(links))]
    for name in needed:
        if is_note(note := models / UNNEEDED / name):
            yield note
