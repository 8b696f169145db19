"""The command `fit`: does the registry fit the card?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import load
from llama_swap_config.lock.locked import LOCK_PATH
from llama_swap_config.model import KvCacheType
from ops.errors import OpsError, writing
from ops.options import AsJson, AsMarkdown, LockPath, check_one_format, choose, command_app
from ops.report.terminal import CONSOLE

app = command_app()


@app.command()
def fit(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Apply --context, --kv, --projector and --largest-context to this model only "
            "(default: all models).",
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            "--context", min=1, help="Assume this context, in tokens (default: the registry's)."
        ),
    ] = None,
    kv: Annotated[
        KvCacheType | None,
        typer.Option("--kv", help="Assume this type of KV cache (default: the registry's)."),
    ] = None,
    projector: Annotated[
        str | None,
        typer.Option(
            "--projector",
            help="Assume this quantisation of the projector (default: the registry's).",
        ),
    ] = None,
    usable_mib: Annotated[
        int | None,
        typer.Option(
            "--usable-mib",
            min=1,
            help="Assume a card with this much usable memory, in MiB (default: the settings').",
        ),
    ] = None,
    largest_context: Annotated[
        bool,
        typer.Option(
            "--largest-context", help="Also find each model's largest context that fits the card."
        ),
    ] = False,
    propose: Annotated[
        bool,
        typer.Option(
            "--propose",
            help="Print cards=... for each model that does not fit the cards that it names.",
        ),
    ] = False,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the fit into this SVG file.")
    ] = None,
    lock: LockPath = LOCK_PATH,
) -> None:
    """Show each model's VRAM, and which models fit a card together.

    Edits nothing: the options try other values than those of llama_swap_config/registry.py and
    stacks/production.py. Where the lock has no exact figures for those values, the engine answers,
    if `ops lock` left its build and the files' headers on this machine; otherwise its figures for
    other contexts, or a formula. The output says which. Nothing is built or downloaded.
    Exit code: 0 every model fits, 1 one does not, or an error.

    Example: `python -m ops fit --model qwen3vl-8b --context 32768 --kv q8_0`
    """
    from ops.commands.fit import figure as fit_figure
    from ops.commands.fit import text as fit_text
    from ops.commands.fit.asking import ask
    from ops.commands.fit.run import fit as run
    from ops.commands.fit.what_if import WhatIf, assume
    from stacks.declared import load_settings

    check_one_format(as_json=as_json, as_markdown=as_markdown)
    declaration = load(lock)
    what_if = WhatIf(
        model=model,
        context=context,
        kv_cache_type=kv,
        projector=projector,
        usable_mib=usable_mib,
    )
    if model is not None:
        choose({locked.model.id: locked for locked in declaration.locked}, [model])
    models, node = assume(declaration.locked, load_settings().node, what_if, declaration.lock)
    answers = ask(models, node, what_if, largest=largest_context)
    answer = run(
        tuple(each.locked for each in answers),
        declaration.residency,
        node,
        answers=answers,
        what_if=what_if != WhatIf(),
        propose=propose,
    )
    if plot is not None:
        with writing(plot):
            plot.write_text(fit_figure.render(answer), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(fit_text.as_json(answer), indent=2))
    elif as_markdown:
        typer.echo(fit_text.as_markdown(answer), nl=False)
    else:
        fit_text.show_fit(CONSOLE, answer)
    if answer.problem is not None:
        raise OpsError(answer.problem)
