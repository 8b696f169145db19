"""Render what the working tree declares, as a deploy would: registry, lock and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llama_swap_config.declaration import Declaration, load
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndProgram
from llama_swap_config.front_ends.server_command import ServerSettings, shared_options
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.lock.locked import LOCK_PATH
from llama_swap_config.model import Model
from ops.cluster.pool_objects import objects_of_pools
from ops.commands.drift.configuration import ALL_MODELS, Configuration, Mismatch, read
from ops.commands.drift.difference import (
    ABSENT,
    NOT_SET,
    PRESENCE,
    Finding,
    Value,
    value_text,
)
from ops.commands.drift.working_tree import (
    REGISTRY_FILE,
    SETTINGS_FILE,
    STACK_FILES,
    commit_of,
    notes,
)
from ops.terraform.manifests import Manifest, manifests
from ops.terraform.synth import synthesize
from stacks.pools import DeclaredPool, pools_of
from stacks.settings import Settings

DEPLOY = "python -m ops deploy"
_OF_SETTINGS = {"program", "cmdStop", "proxy", "checkEndpoint"} | {
    flag for flag, _ in shared_options(ServerSettings())
}
"""Fields of a model that the registry does not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The declaration of the working tree, with which each source is compared.

    It is the first pool's; that of each other pool is in `further`.
    """

    settings: Settings
    """The pool's own."""
    all_settings: Settings
    """With which the stack is made."""
    models: tuple[Model, ...]
    consumers: tuple[Consumer, ...]
    """Who may ask its models."""
    program: FrontEndProgram
    configuration: Configuration
    """The program's configuration, read back."""
    objects: tuple[Manifest, ...]
    """The pool's."""
    directory: Path
    """Where Terraform runs."""
    lock_path: Path
    """The lock with which the volume is compared."""
    notes: tuple[str, ...]
    pool: str = ""
    """Its name; empty: it is the only one."""
    all_consumers: tuple[Consumer, ...] = ()
    """Who may ask the gateway; empty for a further pool."""
    further: tuple[Declared, ...] = ()
    """The further pools."""

    @property
    def pools(self) -> tuple[Declared, ...]:
        """All pools, this one first."""
        return (self, *self.further)

    def chosen(self, pool: str | None) -> tuple[Declared, ...]:
        """Return the pool of a name; None: all pools."""
        return tuple(it for it in self.pools if pool in (None, it.settings.pool))

    @property
    def pool_option(self) -> str:
        """What a command needs to act on this pool; empty for the only one."""
        return f" --pool {self.pool}" if self.pool else ""

    @property
    def node_selector(self) -> Mapping[str, str] | None:
        """The labels of the pool's nodes; None: it is the only one."""
        return self.settings.gpu.node_selector if self.pool else None


def declare(settings: Settings, lock_path: Path = LOCK_PATH) -> Declared:
    """Render what the working tree declares.

    Args:
        settings: The settings of the cluster.
        lock_path: The lock of the volume's files (default: the repository's own). The objects
            are always made of the repository's own.

    Raises:
        ConfigError: if registry, lock and settings do not match.
        OpsError: if the stack cannot be synthesized.
    """
    synthesized = synthesize()
    return declared_of(
        settings,
        load(),
        synthesized.document,
        directory=synthesized.directory,
        lock_path=lock_path,
    )


def declared_of(
    settings: Settings,
    declaration: Declaration,
    document: dict[str, Any],
    *,
    directory: Path,
    lock_path: Path = LOCK_PATH,
) -> Declared:
    """Render a declaration with its settings, pool by pool.

    Args:
        settings: The settings of the cluster.
        declaration: The models and their consumers.
        document: The stack, synthesized from both.
        directory: Where Terraform runs.
        lock_path: See `declare`.

    Raises:
        ConfigError: if a model cannot run with these settings.
    """
    pools = pools_of(settings, declaration)
    objects = objects_of_pools(
        manifests(document), tuple(pool.settings.namespace for pool in pools)
    )
    first, *further = (
        Declared(
            settings=pool.settings,
            all_settings=settings,
            models=pool.declaration.models,
            consumers=pool.declaration.consumers,
            program=(program := _program(pool)),
            configuration=read(program.config_key, program.config),
            objects=its_objects,
            directory=directory,
            lock_path=lock_path,
            notes=(),
            pool=pool.name if len(pools) > 1 else "",
        )
        for pool, its_objects in zip(pools, objects, strict=True)
    )
    return replace(
        first,
        notes=tuple(notes()),
        all_consumers=declaration.consumers,
        further=tuple(further),
    )


def _program(pool: DeclaredPool) -> FrontEndProgram:
    settings = pool.settings
    return FRONT_ENDS[settings.front_end].program(
        pool.declaration.locked,
        settings.llama_swap,
        port=settings.port,
        residents=pool.residents,
    )


def declared_value(text: str, *paths: str) -> Value:
    """Return a declared value, with the commit of the files that declare it.

    Args:
        text: Already redacted and escaped.
        paths: The files, from the repository's root.
    """
    who, time_s = commit_of(*paths)
    return Value(text=text, where="declared", who=who, time_s=time_s)


def of_stack(text: str, field: str = "") -> Value:
    """Return a declared value of an object; an image comes from the settings alone."""
    return declared_value(text, *([SETTINGS_FILE] if field.endswith(".image") else STACK_FILES))


def mismatch_finding(
    mismatch: Mismatch, at_place: Callable[[str], Value], subject_of_none: str
) -> Finding:
    """Turn a mismatch of two configurations into a finding that a deploy would fix.

    Args:
        mismatch: What differs.
        at_place: Makes a value of the live text.
        subject_of_none: The subject if the mismatch is not of a model.
    """
    model, field = mismatch.model, mismatch.field
    in_registry = model is not None and field not in _OF_SETTINGS
    file = REGISTRY_FILE if in_registry else SETTINGS_FILE
    paths = STACK_FILES if model in (None, ALL_MODELS) else (REGISTRY_FILE,)
    subject = subject_of_none if model is None else subject_of(model)
    value = at_place(value_text(field, mismatch.found))
    declared = declared_value(value_text(field, mismatch.declared), *paths)
    return Finding(
        subject=subject,
        field=field,
        found=value,
        declared=declared,
        remedy=deploy_remedy(field, value, declared, file),
    )


def presence_finding(subject: str, value: Value, declared: str, remedy: str) -> Finding:
    """Report an object that is missing, or present and not declared."""
    return Finding(
        subject=subject, field=PRESENCE, found=value, declared=of_stack(declared), remedy=remedy
    )


def field_finding(subject: str, field: str, value: Value, declared: object) -> Finding:
    """Report a field of an object that differs from the stack."""
    wanted = of_stack(value_text(field, declared), field)
    file = SETTINGS_FILE if field.endswith(".image") else "stacks/"
    return Finding(
        subject=subject,
        field=field,
        found=value,
        declared=wanted,
        remedy=deploy_remedy(field, value, wanted, file),
    )


def subject_of(model: str) -> str:
    """Name a model, of the registry or not, as the subject of a line."""
    return ALL_MODELS if model == ALL_MODELS else f"model {value_text('id', model)}"


def deploy_remedy(field: str, live: Value, declared: Value, file: str) -> str:
    """Say how to fix a difference: by a deploy, or by declaring the live value."""
    if field == PRESENCE:
        if declared.text == ABSENT:
            return f"{DEPLOY} removes it, or declare it in {file}"
        return f"{DEPLOY} restores it, or remove it from {file}"
    wanted, there = _short(declared.text), _short(live.text)
    if wanted == "nothing":
        return f"{DEPLOY} removes it, or declare {there} in {file}"
    newer = None not in (live.time_s, declared.time_s) and (
        (declared.time_s or 0) > (live.time_s or 0)
    )
    if newer or declared.who == "not committed":
        return f"{DEPLOY} sets {wanted}"
    if there == "nothing":
        return f"{DEPLOY} restores {wanted}, or remove it from {file}"
    return f"{DEPLOY} restores {wanted}, or declare {there} in {file}"


def _short(text: str) -> str:
    if text == NOT_SET:
        return "nothing"
    return text if len(text) <= 24 else "it"
