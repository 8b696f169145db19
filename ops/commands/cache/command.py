"""The command `cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def cache(
    clean: Annotated[
        bool, typer.Option("--clean", help="Delete the builds that no checkout uses.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --clean: delete without asking.")
    ] = False,
) -> None:
    """List the programs that were built on this machine, and delete those that nobody uses.

    A checkout uses the build that its last command needed. A deleted build is made again when a
    command needs it.

    Example: `python -m ops cache --clean`
    """
    from ops.commands.cache.text import show
    from ops.machine.build_cache import cache_dir
    from ops.machine.cache_entries import entries, prune
    from ops.report.words import size

    if yes and not clean:
        raise typer.BadParameter("--yes needs --clean")
    found = entries(cache_dir())
    show(CONSOLE, cache_dir(), found)
    if not clean:
        return
    unused = tuple(entry for entry in found if not entry.is_used)
    if not unused:
        say("every build is in use; nothing is deleted")
        return
    total = size(sum(entry.size_bytes for entry in unused))
    if yes or typer.confirm(f"Delete {len(unused)} unused builds, {total}?"):
        say(f"freed {size(prune(unused, say=say))}")
