"""The command `manifests`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.errors import writing
from ops.options import command_app
from ops.report.terminal import say, warn

app = command_app()


@app.command()
def manifests(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file (default: stdout).")
    ] = None,
) -> None:
    """Write the stack's objects as Kubernetes YAML, without a cluster or Terraform.

    With `monitoring=Monitoring(operator=True)` also a ServiceMonitor and a PrometheusRule.

    Do not apply them to a namespace that Terraform manages, or during a GPU window: they set
    replicas.

    Example: `python -m ops manifests | kubectl apply --server-side -f -`
    """
    from llama_swap_config.declaration import load
    from llama_swap_config.lock.stand_in import stand_in_problems
    from llama_swap_config.monitoring.operator import operator_manifests
    from ops.terraform.manifests import manifests as convert
    from ops.terraform.manifests import to_yaml
    from ops.terraform.synth import synthesize
    from stacks.declared import load_settings
    from stacks.monitoring import alerts_of
    from stacks.pools import pools_of

    declaration, settings = load(), load_settings()
    objects = convert(synthesize().document)
    if settings.monitoring is not None and settings.monitoring.operator:
        pools = pools_of(settings, declaration)
        namespaces = tuple(pool.settings.namespace for pool in pools)
        objects = (*objects, *operator_manifests(namespaces, alerts_of(pools)))
    text = to_yaml(objects)
    for problem in stand_in_problems(declaration.locked):
        warn(problem)
    if out is None:
        typer.echo(text, nl=False)
        return
    with writing(out):
        out.write_text(text, encoding="utf-8")
    say(f"wrote {out}")
