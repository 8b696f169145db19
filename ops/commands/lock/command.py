"""`python -m ops lock`: models.lock.json follows the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import load_registry
from llama_swap_config.lock.file import read_lock, render_lock, write_lock
from llama_swap_config.lock.locked import LOCK_COMMAND, LOCK_PATH, Lock
from ops.errors import OpsError
from ops.options import choose, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def lock(
    ids: Annotated[
        list[str] | None,
        typer.Option("--model", help="Only this model; may be repeated.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare registry and lock; asks no hub.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Move to the newest commit of main; without --model, drop what is unused too.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", help="A file's name, where several are possible.", show_default=False
        ),
    ] = None,
    path: Annotated[
        Path,
        typer.Option(
            "--path", help="Left out: the repository's models.lock.json.", show_default=False
        ),
    ] = LOCK_PATH,
) -> None:
    """Write into models.lock.json which files the registry's models are, down to their headers.

    Without options: the models that the lock lacks, or that the registry changed; a model whose
    repository stays keeps its commit. Only headers are downloaded. HF_ENDPOINT and HF_TOKEN are
    respected.

    Example: `python -m ops lock --update --model qwen3vl-4b --dry-run`
    """
    from ops.commands.lock import resolve as lock_models

    if check and (update or dry_run or files):
        raise typer.BadParameter("--check writes nothing and asks no hub; use it alone")
    if files and not ids:
        raise typer.BadParameter("--file names a file of one model; say which with --model")
    registry = load_registry()
    models = choose(
        {model.id: model for model in registry},
        ids or (),
        unknown="no model is called {!r}; there are {}",
        error=typer.BadParameter,
    )
    known = lock_models.read_known(path)
    unused = known.unused(registry)
    if check:
        problems = [problem for model in models if (problem := known.problem(model))]
        for problem in problems:
            say(problem)
        _say_unused(unused)
        if problems:
            raise OpsError(
                f"{len(problems)} of {len(models)} models are not locked; run `{LOCK_COMMAND}`"
            )
        read_lock(path)  # What no model names has to be readable too.
        say(f"registry and lock agree on {len(models)} models")
        return
    outdated = [model for model in models if update or known.problem(model) or files]
    foreign = [each for each in known.unusable if each not in {model.id for model in registry}]
    if not outdated and not foreign:
        read_lock(path)
        say(f"{path.name} names the files of all {len(models)} models; nothing to do")
        _say_unused(unused)
        return
    found = lock_models.resolve_models(
        outdated,
        known,
        registry={model.id for model in registry},
        moving=update,
        named=files or (),
        say=say,
    )
    after = dict(found.lock)
    if update and not ids:
        after = {model.id: after[model.id] for model in registry if model.id in after}
    else:
        _say_unused(unused)
    for each in foreign:
        say(f"model {each!r} cannot be used, and the registry does not name it: dropped")
    _finish(path, known.entries, after, dry_run=dry_run)
    if found.failures:
        (first, *others) = found.failures.values()
        more = (
            f" (and {len(others)} more: {', '.join(list(found.failures)[1:])})" if others else ""
        )
        raise OpsError(f"{first}; left as it was{more}")


def _say_unused(unused: Sequence[str]) -> None:
    for each in unused:
        say(f"{each} is locked, and the registry does not name it; --update drops it")


def _finish(path: Path, before: Lock, after: Lock, *, dry_run: bool) -> None:
    """Show what changes, and write it."""
    from ops.commands.lock.diff import show_changes

    show_changes(CONSOLE, before, after)
    text = path.read_text(encoding="utf-8") if path.exists() else render_lock({})
    if text == render_lock(after):
        say("nothing changes")
    elif dry_run:
        say(f"{path.name} is left as it is: --dry-run")
    else:
        write_lock(path, after)
        say(f"wrote {path.name}; `python main.py` checks whether it fits")
