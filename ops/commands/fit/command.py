"""The command `fit`: does the registry fit the card?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.declaration import Declaration, load
from llama_swap_config.lock.locked import LOCK_PATH
from llama_swap_config.model import KvCacheType
from ops.errors import OpsError, writing
from ops.options import (
    AsJson,
    AsMarkdown,
    LockPath,
    OnlyPool,
    check_one_format,
    choose,
    command_app,
)
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
            help="Print cards=... for each model that does not fit the cards that it names, and "
            "pools=... where there are several pools.",
        ),
    ] = False,
    pool: OnlyPool = None,
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
    from ops.commands.fit import pools_text
    from ops.commands.fit.figure import render_pools
    from ops.commands.fit.pools import fit_all, fit_one
    from ops.commands.fit.what_if import WhatIf
    from stacks.declared import load_settings, pool_named
    from stacks.pools import pools_of

    check_one_format(as_json=as_json, as_markdown=as_markdown)
    declaration, settings = load(lock), load_settings()
    what_if = WhatIf(
        model=model,
        context=context,
        kv_cache_type=kv,
        projector=projector,
        usable_mib=usable_mib,
    )
    if settings.pools and pool is None:
        if usable_mib is not None or largest_context:
            raise typer.BadParameter(
                "--usable-mib and --largest-context are about one pool; add --pool"
            )
        _check_model(model, declaration)
        fits = fit_all(settings, declaration, what_if, propose=propose)
    else:
        if settings.pools and propose:
            raise typer.BadParameter("--propose is about all pools; omit --pool")
        declared = pool_named(pools_of(settings, declaration), pool)
        _check_model(model, declared.declaration)
        fits = fit_one(declared, what_if, largest=largest_context, propose=propose)
    if plot is not None:
        with writing(plot):
            plot.write_text(render_pools(fits), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(pools_text.as_json(fits), indent=2))
    elif as_markdown:
        typer.echo(pools_text.as_markdown(fits), nl=False)
    else:
        pools_text.show(CONSOLE, fits)
    if fits.problem is not None:
        raise OpsError(fits.problem)


def _check_model(model: str | None, declaration: Declaration) -> None:
    if model is not None:
        choose({it.id: it for it in declaration.models}, [model])
