"""`python -m ops lock`: resolve the registry's models to exact files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import load_registry
from llama_swap_config.lock.file import read_lock, render_lock, write_lock
from llama_swap_config.lock.locked import LOCK_COMMAND, LOCK_PATH, Lock
from llama_swap_config.lock.stand_in import is_stand_in, stand_in_problem
from ops.errors import OpsError
from ops.options import choose, command_app
from ops.report.terminal import CONSOLE, say

app = command_app()


@app.command()
def lock(
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Lock only this model; repeatable (default: every model).",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare registry and lock without network access; write nothing; exit code 1 if "
            "they differ.",
        ),
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Move to the newest commit of each repository's main branch; without --model, "
            "also drop the entries of models that left the registry.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes; write nothing.")
    ] = False,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            help="Choose this file of the repository if several match the quantisation; requires "
            "--model; repeatable.",
            show_default=False,
        ),
    ] = None,
    path: Annotated[
        Path,
        typer.Option(
            "--path",
            help="Read and write this lock file (default: the repository's models.lock.json).",
            show_default=False,
        ),
    ] = LOCK_PATH,
) -> None:
    """Resolve the registry's models to exact files and write models.lock.json.

    Without options it locks the models that are missing from the lock or changed in the registry
    (llama_swap_config/registry.py). A model keeps its commit while its repository stays the same.
    Only the files' headers are downloaded, a few megabytes. Reads HF_TOKEN and HF_ENDPOINT.

    Example: `python -m ops lock --update --model qwen3vl-4b --dry-run`
    """
    from ops.commands.lock import resolve as lock_models

    if check and (update or dry_run or files):
        raise typer.BadParameter("--check cannot be combined with --update, --dry-run or --file")
    if files and not ids:
        raise typer.BadParameter("--file requires --model")
    registry = load_registry()
    models = choose(
        {model.id: model for model in registry},
        ids or (),
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
                f"{len(problems)} of {len(models)} models are not locked. Run `{LOCK_COMMAND}`."
            )
        read_lock(path)  # Unused entries have to be valid too.
        say(f"registry and lock agree on {len(models)} models")
        return
    outdated = [model for model in models if update or known.problem(model) or files]
    registered = {model.id for model in registry}
    foreign = [model_id for model_id in known.unusable if model_id not in registered]
    if not outdated and not foreign:
        read_lock(path)
        say(f"{path.name} has the files of all {len(models)} models; nothing to do")
        _say_unused(unused)
        return
    resolved = lock_models.resolve_models(
        outdated,
        known,
        registry=registered,
        moving=update,
        named=files or (),
        say=say,
    )
    after = dict(resolved.lock)
    if update and not ids:
        after = {model.id: after[model.id] for model in registry if model.id in after}
    else:
        _say_unused(unused)
    for model_id in foreign:
        say(f"dropped the invalid entry of model {model_id!r}, which is not in the registry")
    _finish(path, known.entries, after, dry_run=dry_run)
    for model in models:
        if is_stand_in(after.get(model.id, ())):
            say(stand_in_problem(model.id))
    if resolved.failures:
        first = next(iter(resolved.failures.values())).rstrip(".")
        raise OpsError(f"{first}. Unchanged in the lock: {', '.join(resolved.failures)}.")


def _say_unused(unused: Sequence[str]) -> None:
    for name in unused:
        say(f"{name} is locked but not in the registry; --update drops it")


def _finish(path: Path, before: Lock, after: Lock, *, dry_run: bool) -> None:
    """Show the changes and write them."""
    from ops.commands.lock.diff import show_changes

    show_changes(CONSOLE, before, after)
    text = path.read_text(encoding="utf-8") if path.exists() else render_lock({})
    if text == render_lock(after):
        say("no changes")
    elif dry_run:
        say(f"--dry-run: {path.name} is unchanged")
    else:
        write_lock(path, after)
        say(f"wrote {path.name}; check the fit with `python main.py`")
