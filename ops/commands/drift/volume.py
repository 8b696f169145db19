"""Compare the volume with the lock, by sizes and links; no file is read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from in_pod.download.contract import BLOBS, PARTIAL
from in_pod.download.errors import DownloadError
from in_pod.download.opening import is_file, kind
from in_pod.download.plan import Plan
from in_pod.download.progress import size_text
from in_pod.download.volume import set_target
from in_pod.download.volume_errors import volume_error
from llama_swap_config.declaration import load
from ops.commands.drift.declared import Declared, declared_value
from ops.commands.drift.difference import (
    ABSENT,
    PRESENCE,
    PRESENT,
    Finding,
    Look,
    Value,
    value_text,
)
from ops.commands.drift.working_tree import LOCK_FILE
from ops.commands.weights.volume import (
    FileStatus,
    ModelStatus,
    declared_volume,
    require_blobs,
    status,
)
from ops.errors import OpsError
from stacks.pools import pools_of

_WHERE = "on the volume"


def look(declared: Declared, volume: Path) -> Look:
    """Compare a volume with the lock.

    Args:
        declared: The working tree.
        volume: Where the volume is mounted.

    Raises:
        OpsError: if no volume is mounted there, or it cannot be read.
    """
    pools = pools_of(declared.all_settings, load(declared.lock_path))
    (chosen,) = (pool for pool in pools if pool.name == declared.settings.pool)
    wanted = declared_volume(pools, chosen, declared.lock_path)
    plan, directory = wanted.plan, f"{shlex.quote(str(volume))}{declared.pool_option}"
    pull = f"python -m ops weights pull {directory}"
    try:
        require_blobs(volume)
        contents = status(plan, volume, models=wanted.models)
        findings = [finding for file in contents.files for finding in _file(volume, file, pull)]
        incomplete = {finding.subject for finding in findings}
        for model in contents.models:
            if f"model {model.id}" not in incomplete or "other files" in model.reason:
                findings += _link(volume, model, plan, pull)
        prune = f"python -m ops weights prune {directory}"
        findings += [_unnamed(volume, path, size, prune) for path, size in contents.unreferenced]
    except DownloadError as error:
        raise OpsError(str(error)) from error
    except OSError as error:
        raise OpsError(str(volume_error(volume, error))) from error
    notes = tuple(note for note in (wanted.note, contents.left_alone) if note)
    return Look(findings=tuple(findings), notes=notes)


def _file(volume: Path, file: FileStatus, pull: str) -> Iterator[Finding]:
    if file.state == "present":
        return
    blob = volume / BLOBS / file.sha256
    text, remedy, time_s = "missing", f"{pull} downloads it, or the next download Job", None
    if file.state == "partial":
        share = 100 * file.done_bytes / file.size_bytes
        text = f"partial, {share:.0f} %"
        time_s = _mtime(blob.with_suffix(PARTIAL))
        remedy = f"wait for the running download, or {pull} resumes it"
    elif file.state == "wrong":
        text, time_s, remedy = f"{blob.lstat().st_size} bytes", _mtime(blob), f"{pull} replaces it"
        if not is_file(blob):
            text, remedy = kind(blob), f"move {blob} away, then {pull} downloads it"
    elif file.state == "to take over":
        remedy = f"{file.reason}: {pull} takes that file over, or the next download Job"
    elif file.reason:
        text = f"missing ({file.reason})"
    yield Finding(
        subject=f"model {file.model}",
        field=f"file {file.name}",
        found=Value(text=text, where=_WHERE, time_s=time_s),
        declared=declared_value(f"{file.size_bytes} bytes", LOCK_FILE),
        remedy=remedy,
    )


def _link(volume: Path, model: ModelStatus, plan: Plan, pull: str) -> Iterator[Finding]:
    if model.published:
        return
    link = volume / model.id
    target, time_s = "missing", None
    if link.is_symlink():
        target, time_s = str(link.readlink()), link.lstat().st_mtime
    elif link.exists():
        target = "not a link"
    yield Finding(
        subject=f"model {model.id}",
        field="link",
        found=Value(text=value_text("link", target), where=_WHERE, time_s=time_s),
        declared=declared_value(set_target(plan.models[model.id]), LOCK_FILE),
        remedy=f"{model.reason}: {pull} publishes the locked files",
    )


def _unnamed(volume: Path, path: str, size_bytes: int, prune: str) -> Finding:
    what = f" ({size_text(size_bytes)})" if size_bytes else ""
    return Finding(
        subject=f"file {value_text('path', path)}",
        field=PRESENCE,
        found=Value(text=f"{PRESENT}{what}", where=_WHERE, time_s=_mtime(volume / path)),
        declared=declared_value(ABSENT, LOCK_FILE),
        remedy=f"no model uses it: {prune} removes it a week after its last use",
    )


def _mtime(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:
        return None
