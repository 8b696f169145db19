"""The command line: `python -m ops COMMAND`."""

from __future__ import annotations

import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from llama_swap_config.errors import ConfigError
from ops.commands.bench import command as bench_cli
from ops.commands.drift import command as drift_cli
from ops.commands.fit import command as fit_cli
from ops.commands.lock import command as lock_cli
from ops.commands.plan import command as plan_cli
from ops.commands.serve import command as serve_cli
from ops.commands.smoke import command as smoke_cli
from ops.commands.weights import command as weights_cli
from ops.commands.window import command as window_cli
from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.report.terminal import CONSOLE, say

app = typer.Typer(
    help="Deploy and operate the vision-LLM endpoint.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(weights_cli.app, name="weights")
app.command()(serve_cli.serve)
app.command()(smoke_cli.smoke)
app.command("lock")(lock_cli.lock)
app.command()(fit_cli.fit)
app.command()(plan_cli.plan)
app.command()(drift_cli.drift)
app.command(context_settings={"allow_interspersed_args": False})(window_cli.window)
app.add_typer(bench_cli.app, name="bench")

StateDir = Annotated[
    Path, typer.Option("--state-dir", help="Where the embedded cluster keeps its data and logs.")
]
_STATE_DIR = ROOT / ".embedded"


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Deploy and operate the vision-LLM endpoint."""
    del debug  # Read from the arguments by main(), which also sees errors in parsing.


@app.command()
def up(state_dir: StateDir = _STATE_DIR) -> None:
    """Start an embedded cluster, deploy the stack into it, and serve the registry beside it.

    Example: `python -m ops up`
    """
    from ops.commands.up import summary
    from ops.commands.up.run import up as run

    deployed = run(state_dir, say=say)
    summary.show_deployed(CONSOLE, deployed)
    waiting = [each for each in deployed.workloads if not each.settled]
    if waiting:
        raise OpsError(f"{waiting[0].kind} {waiting[0].name} waits: {waiting[0].reason}")


@app.command()
def down(
    state_dir: StateDir = _STATE_DIR,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Also delete the cluster's data and state.")
    ] = False,
) -> None:
    """End the embedded cluster and what is served; the data stays for the next `up`.

    Example: `python -m ops down --delete-data`
    """
    import shutil

    from ops.commands.serve import run as serve
    from ops.embedded import cluster as embedded

    served = serve.stop(state_dir)
    if served:
        say("ended the front end and its llama-server")
    if not embedded.down(state_dir, say=say) and not served:
        say("nothing was running")
    if delete_data and state_dir.is_dir():
        shutil.rmtree(state_dir)
        say(f"deleted {state_dir}")


@app.command()
def env(state_dir: StateDir = _STATE_DIR) -> None:
    """Print the embedded cluster's environment for a shell.

    An API key is printed as where the shell reads it.

    Example: `eval "$(python -m ops env)"`
    """
    from ops.commands.serve import run as serve
    from ops.embedded import cluster as embedded
    from ops.endpoint.api_key import KEY_VARIABLE

    cluster = embedded.find(state_dir)
    if cluster is None:
        raise OpsError(f"no embedded cluster runs in {state_dir}; start it with `make up`")
    for name, value in cluster.environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    served = serve.find(state_dir)
    if served is not None and served.key is not None:
        typer.echo(f'export {KEY_VARIABLE}="{served.key.in_shell}"')


@app.command()
def deploy(
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    allow_removal: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-removal",
            metavar="ADDRESS",
            help="Allow this deploy to remove ADDRESS (repeatable).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show Terraform's plan, then apply that plan to the cluster of KUBE_CONFIG_PATH and KUBE_CTX.

    The state is in PG_CONN_STR. Exit code 3: the plan would remove a namespace, a volume, a claim
    or what this stack did not make; then nothing is changed.

    Example: `python -m ops deploy --yes`
    """
    from ops.commands.deploy.run import deploy as run
    from ops.commands.up import summary
    from ops.machine.signals import ended_by_signals

    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise typer.BadParameter("there is no terminal to ask on; pass --yes to apply")
    # A plan in a file holds the whole state: it has to go, whatever ends this.
    with ended_by_signals():
        workloads = run(
            show=summary.show_terraform_plan,
            approve=lambda: yes or typer.confirm("Apply this plan?"),
            allow_removal=allow_removal or (),
            say=say,
        )
    summary.show_workloads(CONSOLE, workloads)
    waiting = [each for each in workloads if not each.settled]
    say(
        f"deployed; {len(waiting)} still wait, for the reasons above"
        if waiting
        else "deployed; everything runs"
    )


@app.command()
def manifests(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; left out: to stdout.")
    ] = None,
) -> None:
    """Write the synthesized objects as Kubernetes YAML; needs no cluster and no provider.

    Example: `python -m ops manifests | kubectl apply --server-side -f -`
    """
    from ops.terraform.manifests import manifests as convert
    from ops.terraform.manifests import to_yaml
    from ops.terraform.synth import synthesize

    text = to_yaml(convert(synthesize().document))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OpsError(f"{out} cannot be written ({error.strerror})") from error
    say(f"wrote {out}")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; an error is one line on stderr.

    Args:
        arguments: What follows `python -m ops`; left out: the process's own.

    Returns:
        0 done, 1 an error, 2 wrong usage (or changes, for `plan`), 3 a deploy that was refused,
        130 interrupted.
    """
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(arguments, prog_name="python -m ops", standalone_mode=False)
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()}; see python -m ops --help", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (OpsError, ConfigError) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        return error.exit_code if isinstance(error, OpsError) else 1
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        line = " ".join(str(error).split())[:300]
        typer.echo(f"error: {type(error).__name__}: {line}; --debug shows where", err=True)
        return 1
    return code if isinstance(code, int) else 0
