"""Print the state of a volume."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from in_pod.download.progress import size_text
from ops.commands.weights.declared_volumes import PoolVolume
from ops.commands.weights.volume import VolumeStatus
from ops.report.terminal import titled_table

_STYLES = {
    "present": "green",
    "to take over": "green",
    "partial": "yellow",
    "missing": "yellow",
    "wrong": "red",
}


def show_volumes(console: Console, volumes: tuple[PoolVolume, ...]) -> None:
    """Print the volume that each pool uses."""
    table = titled_table("Volumes", "pool", "node", "volume", "models", "size", right=["size"])
    for volume in volumes:
        shared = "" if volume.volume_of == volume.pool else f"that of {volume.volume_of}: "
        table.add_row(
            volume.pool,
            ", ".join(f"{key}={value}" for key, value in volume.node.items()),
            f"{shared}{volume.place}",
            ", ".join(volume.models),
            size_text(volume.size_bytes),
        )
    console.print(table)


def show_weights(console: Console, status: VolumeStatus) -> None:
    """Print the state of each file, of each model's link, and the unused files."""
    table = titled_table("Weights", "model", "file", "size", "state", "", right=["size"])
    for file in status.files:
        share = file.done_bytes / file.size_bytes
        state = f"partial, {100 * share:.1f} %" if file.state == "partial" else file.state
        table.add_row(
            file.model,
            file.name,
            size_text(file.size_bytes),
            Text(state, style=_STYLES[file.state]),
            Text(file.reason),
        )
    console.print(table)
    for model in status.models:
        if not model.published:
            console.print(f"{model.id}: {model.reason}", style="yellow", highlight=False)
    for path, size_bytes in status.unreferenced:
        size = size_text(size_bytes) if size_bytes else "a link"
        console.print(f"unused: {path} ({size})", highlight=False, soft_wrap=True)
    if status.left_alone:
        console.print(status.left_alone, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{size_text(status.missing_bytes)} to download, {size_text(status.free_bytes)} free on "
        f"{status.volume}",
        highlight=False,
        soft_wrap=True,
    )
