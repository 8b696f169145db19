"""Point a model's link at its files."""

from __future__ import annotations

import secrets
from pathlib import Path

from .contract import NOT_AS_PLANNED
from .errors import DownloadError
from .plan import Plan
from .text import Say
from .volume import blob_target, is_complete, is_published, is_set, set_target, sync


def publish(models: Path, plan: Plan, *, say: Say, but: frozenset[str] = frozenset()) -> None:
    """Point each model whose files are all there at them, in one step a model.

    Args:
        models: The volume's directory.
        plan: The plan.
        say: Takes a line for each model whose link moved.
        but: The sha256 of files that are there with other bytes; left out: none.

    Raises:
        DownloadError: with NOT_AS_PLANNED when something else has the model's name.
    """
    complete = {file.sha256 for file in plan.files if is_complete(models, file)} - but
    for model, links in plan.models.items():
        if is_published(models, model, links) or not complete.issuperset(
            link.sha256 for link in links
        ):
            continue
        _make_room(models, model)
        folder = models / set_target(links)
        if not is_set(models, links):
            fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
            fresh.mkdir(parents=True)
            for link in links:
                (fresh / link.name).symlink_to(blob_target(link))
            sync(fresh)
            if folder.exists():
                folder.rename(folder.with_name(f".broken.{secrets.token_hex(4)}"))
            fresh.rename(folder)
            sync(folder.parent)
        fresh = models / f".{model}.{secrets.token_hex(4)}"
        fresh.symlink_to(set_target(links))
        fresh.replace(models / model)
        sync(models)
        say(f"model {model}: " + ", ".join(f"{link.name} is {link.sha256[:12]}" for link in links))


def _make_room(models: Path, model: str) -> None:
    """Move away what has a model's name; an earlier version made a folder of links there.

    Raises:
        DownloadError: with NOT_AS_PLANNED when it is someone else's.
    """
    path = models / model
    if path.is_symlink() or not path.exists():
        return
    if not path.is_dir() or not all(each.is_symlink() for each in path.iterdir()):
        raise DownloadError(NOT_AS_PLANNED, f"{path} is no link of this program; move it away")
    path.rename(models / f".{model}.{secrets.token_hex(4)}")
