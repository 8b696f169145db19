"""`python -m ops gateway keys COMMAND`: the consumers' keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.commands.gateway.keys.store import KeyStore, Stored
from ops.errors import OpsError
from ops.options import AsJson, check_can_ask, command_app
from ops.report.terminal import ASIDE, CONSOLE, say, warn

if TYPE_CHECKING:
    from ops.commands.gateway.keys.secret import KeysSecret

app = command_app()

ConsumerName = Annotated[
    str,
    typer.Argument(
        metavar="CONSUMER",
        help="Name of the consumer in llama_swap_config/consumers.py.",
        show_default=False,
    ),
]
KeysDir = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="Use the keys in this directory, as a laptop's gateway does (default: the Secret "
        "of the cluster of KUBE_CONFIG_PATH and KUBE_CTX).",
        show_default=False,
    ),
]


@contextmanager
def _secret() -> Iterator[KeysSecret]:
    from ops.cluster.api import KubeApi
    from ops.cluster.environment import check_cluster
    from ops.cluster.gateway_keys import keys_place
    from ops.commands.gateway.keys.secret import KeysSecret
    from stacks.declared import load_settings

    settings = load_settings()
    place = keys_place(settings.gateway, endpoint_namespace=settings.namespace)
    with KubeApi(check_cluster()) as api:
        yield KeysSecret(api, place)


@contextmanager
def _store(directory: Path | None) -> Iterator[KeyStore]:
    if directory is None:
        with _secret() as secret:
            yield secret
    else:
        from ops.commands.gateway.keys.directory import KeysDirectory

        yield KeysDirectory(directory)


def _aside(line: str) -> None:
    say(line, console=ASIDE)


def _warn_by_hand(store: KeyStore, before: Stored) -> None:
    if before.by_hand:
        warn(
            f"{store.place} was changed by hand before, and stays marked so: look at "
            "`python -m ops gateway keys`, then `python -m ops gateway keys accept`"
        )


@app.callback(invoke_without_command=True)
def keys(context: typer.Context, directory: KeysDir = None, json_: AsJson = False) -> None:
    """List the consumers' keys: how many each has and since when, never a key.

    Without a command it lists; `new` and `retire` rotate a key without a failed request. Only
    hashes are stored, in the Secret `gateway.keys_secret` of stacks/production.py or, with --dir,
    in a directory.

    Example: `python -m ops gateway keys`
    """
    if context.invoked_subcommand is not None:
        if directory is not None or json_:
            raise typer.BadParameter(
                f"options of `keys` stand before {context.invoked_subcommand}; write them after it"
            )
        return
    from llama_swap_config.declaration import load_consumers
    from ops.commands.gateway.keys import table
    from ops.report.on_terminal import show_table

    declared = [consumer.name for consumer in load_consumers()]
    with _store(directory) as store:
        stored = store.read()
    lines = table.lines(declared, stored.entries)
    if json_:
        shown = table.as_json(lines, place=store.place, by_hand=stored.by_hand)
        typer.echo(json.dumps(shown, indent=2))
        return
    show_table(CONSOLE, table.table(lines))
    _warn_by_hand(store, stored)


@app.command()
def new(
    consumer: ConsumerName,
    directory: KeysDir = None,
    secret: Annotated[
        str | None,
        typer.Option(
            "--secret",
            help="Write the key into the Secret of this name in the consumer's namespace, as "
            "LLAMA_API_KEY (default: print it).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a key for a consumer, and print it once on stdout, alone.

    The gateway takes it within two minutes, when the kubelet has renewed the mounted Secret. The
    present key stays valid until `retire`. Exit code: 0 made, 1 an error, 3 refused: the consumer
    has two valid keys.

    Example: `python -m ops gateway keys new n8n --secret llm-key`
    """
    from llama_swap_config.cluster.patterns import DNS_NAME
    from llama_swap_config.declaration import load_consumers
    from ops.commands.gateway.keys import rotation

    declared = {entry.name: entry for entry in load_consumers()}
    if consumer not in declared:
        raise OpsError(
            f"CONSUMER is {consumer!r}; expected one of llama_swap_config/consumers.py: "
            f"{', '.join(declared) or 'none'}. Declare it first"
        )
    if secret is not None and directory is not None:
        raise typer.BadParameter("--secret cannot be combined with --dir")
    if secret is not None and not DNS_NAME.fullmatch(secret):
        raise typer.BadParameter(f"--secret is {secret!r}; expected the name of a Secret")
    with _store(directory) as store:
        if secret is None:
            key, made, before = rotation.make(store, consumer)
            try:
                typer.echo(key)
            except OSError as error:
                rotation.unmake(store, consumer, made)
                raise OpsError(f"the key is not made: it cannot be printed ({error})") from error
        else:
            before = _into_secret(store, consumer, declared[consumer].namespace, secret)
    _warn_by_hand(store, before)


def _into_secret(store: KeyStore, consumer: str, namespace: str, name: str) -> Stored:
    from ops.cluster.api import KubeApi
    from ops.cluster.environment import check_cluster
    from ops.cluster.own_secret import SecretPlace, UnsettledError
    from ops.commands.gateway.keys import rotation
    from ops.commands.gateway.keys.secret import write_key

    place = SecretPlace(namespace=namespace, name=name)
    with KubeApi(check_cluster()) as api:
        write_key(api, place, "", dry_run=True)
        key, made, before = rotation.make(store, consumer)
        try:
            write_key(api, place, key)
        except UnsettledError:
            raise  # The consumer may have the key, which therefore stays valid.
        except OpsError:
            rotation.unmake(store, consumer, made)
            raise
    _aside(f"{place} has the key of {consumer} as LLAMA_API_KEY")
    return before


@app.command()
def retire(
    consumer: ConsumerName,
    directory: KeysDir = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="Remove every key of the consumer, declared or not, which ends its use."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --all.")] = False,
) -> None:
    """Remove the older of a consumer's two keys.

    The gateway refuses it within two minutes. Exit code: 0 removed, 1 an error, 3 refused: the
    consumer has only one key, and --all is not passed.

    Example: `python -m ops gateway keys retire n8n`
    """
    from ops.commands.gateway.keys import rotation

    if all_:
        check_can_ask(f"gateway keys retire {consumer} --all", yes=yes, does="removes the keys")
    with _store(directory) as store:
        if not all_:
            removed, before = rotation.retire(store, consumer)
            _aside(f"{consumer}: the key of {removed.since.isoformat()} is retired")
        else:
            rotation.check_entry(store, store.read().entries, consumer)
            if not yes:
                typer.confirm(f"Remove every key of {consumer} from {store.place}?", abort=True)
            before = rotation.retire_all(store, consumer)
            _aside(f"{consumer}: every key is retired")
    _warn_by_hand(store, before)


@app.command()
def accept() -> None:
    """Record that the Secret's present entries are right, after a change by hand.

    `drift` then reports no change by hand until the next one.

    Example: `python -m ops gateway keys accept`
    """
    with _secret() as store:
        before = store.accept()
    _aside(f"{store.place}: {'accepted' if before.by_hand else 'nothing was changed by hand'}")
