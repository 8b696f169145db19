"""`python -m ops lock`: resolve the registry's models to exact files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import load_registry
from llama_swap_config.fit.card import Machine
from llama_swap_config.lock.file import read_lock, render_lock, write_lock
from llama_swap_config.lock.locked import LOCK_COMMAND, LOCK_PATH, NO_ENTRY, Lock, lock_model
from llama_swap_config.lock.stand_in import is_stand_in, stand_in_problem
from llama_swap_config.model import Model
from ops.errors import OpsError
from ops.options import choose, command_app
from ops.report.terminal import CONSOLE, say

Machines = Mapping[str, Machine]
"""Model id -> the cards and the engine of its home."""

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
    file: Annotated[list[str] | None, typer.Option("--file", hidden=True)] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Ask the engine what each model takes of the card (default: yes).",
            show_default=False,
        ),
    ] = True,
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

    Then it asks the engine of stacks/production.py (engine_build, of a model's home where there
    are several pools) what each model takes of the card, from those headers; that build is made
    once, in a few minutes.

    Example: `python -m ops lock --update --model qwen3vl-4b --dry-run`
    """
    from ops.commands.lock import resolve as lock_models
    from ops.commands.lock.measuring import measure_models
    from stacks.declared import load_settings_of_pools
    from stacks.pools import home_of

    if file:
        raise typer.BadParameter(
            "--file is a field of the registry now; set file or projector_file of the model"
        )
    if check and (update or dry_run):
        raise typer.BadParameter("--check cannot be combined with --update or --dry-run")
    registry = load_registry()
    models = choose(
        {model.id: model for model in registry},
        ids or (),
        error=typer.BadParameter,
    )
    known = lock_models.read_known(path)
    unused = known.unused(registry)
    pools = load_settings_of_pools()
    machines = {model.id: home_of(model, pools).node.machine for model in registry}
    if check:
        problems = [
            problem
            for model in models
            if (
                problem := known.problem(model) or _figures_problem(model, known.entries, machines)
            )
        ]
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
    outdated = [model for model in models if update or known.problem(model)]
    unmeasured = [
        model
        for model in models
        if measure and model not in outdated and _wants_figures(model, known.entries, machines)
    ]
    registered = {model.id for model in registry}
    foreign = [model_id for model_id in known.unusable if model_id not in registered]
    if not outdated and not unmeasured and not foreign:
        read_lock(path)
        say(f"{path.name} has the files of all {len(models)} models; nothing to do")
        _say_unused(unused)
        _say_unmeasured(models, known.entries, machines)
        return
    resolved = lock_models.resolve_models(
        outdated,
        known,
        registry=registered,
        moving=update,
        say=say,
    )
    after = dict(resolved.lock)
    refused: Mapping[str, str] = {}
    if measure:
        to_ask = [
            model
            for model in (*outdated, *unmeasured)
            if model.id not in resolved.failures and _wants_figures(model, after, machines)
        ]
        measured = measure_models(to_ask, after, machines=machines, say=say)
        after, refused = dict(measured.lock), measured.failures
    if update and not ids:
        after = {model.id: after[model.id] for model in registry if model.id in after}
    else:
        _say_unused(unused)
    for model_id in foreign:
        say(f"dropped the invalid entry of model {model_id!r}, which is not in the registry")
    contexts = {model.id: model.context for model in registry}
    _finish(path, known.entries, after, contexts, dry_run=dry_run)
    for model in models:
        if is_stand_in(after.get(model.id, NO_ENTRY).files):
            say(stand_in_problem(model.id))
    _refuse_failures(resolved.failures, "Unchanged in the lock")
    _refuse_failures(refused, "Not measured")
    _say_unmeasured(models, after, machines)


def _refuse_failures(failures: Mapping[str, str], consequence: str) -> None:
    if failures:
        first, *others = failures.values()
        for failure in others:
            say(failure)
        raise OpsError(f"{first.rstrip('.')}. {consequence}: {', '.join(failures)}.")


def _wants_figures(model: Model, lock: Lock, machines: Machines) -> bool:
    from ops.engine.several import wants_figures

    return wants_figures(lock_model(model, lock[model.id]), machines[model.id])


def _figures_problem(model: Model, lock: Lock, machines: Machines) -> str:
    from ops.engine.several import figures_problem

    return figures_problem(lock_model(model, lock[model.id]), machines[model.id].engine_build)


def _say_unmeasured(models: Sequence[Model], lock: Lock, machines: Machines) -> None:
    for model in models:
        if model.id in lock and (problem := _figures_problem(model, lock, machines)):
            say(problem)


def _say_unused(unused: Sequence[str]) -> None:
    for name in unused:
        say(f"{name} is locked but not in the registry; --update drops it")


def _finish(
    path: Path, before: Lock, after: Lock, contexts: Mapping[str, int], *, dry_run: bool
) -> None:
    """Show the changes and write them."""
    from ops.commands.lock.diff import show_changes

    show_changes(CONSOLE, before, after, contexts)
    text = path.read_text(encoding="utf-8") if path.exists() else render_lock({})
    if text == render_lock(after):
        say("no changes")
    elif dry_run:
        say(f"--dry-run: {path.name} is unchanged")
    else:
        write_lock(path, after)
        say(f"wrote {path.name}; check the fit with `python main.py`")
