"""What everybody else may ask of a front end, whichever it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llama_swap_config.fit.card import Machine
from llama_swap_config.fit.residency import Residency, Residents, Sets
from llama_swap_config.lock.locked import LockedModel

if TYPE_CHECKING:
    from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings

FrontEndName = Literal["llama-swap", "llama-server"]
"""llama-swap; or llama-server's own router, which the same image holds."""

CONFIG_DIR = "/config"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndProgram:
    """The program that stands in front of the models, as a container runs it."""

    config_key: str
    """Name of the configuration's file in `CONFIG_DIR`."""
    config: str
    """Its text."""
    script: str
    """What the container's shell runs; it ends in the program itself."""
    health_path: str
    """What answers 200 once the program listens: without a key, loading no model."""
    env: Mapping[str, str]
    """Its part of the container's environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """What a front end is started with wherever it runs."""

    host: str = "0.0.0.0"  # noqa: S104 - The Service's clients come from other pods.
    port: int
    config_path: str
    """Where its file is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The llama-server of one model, as a running front end describes it."""

    model: str
    words: tuple[str, ...] | None
    """Its command line; None: the front end does not say it."""
    is_loaded: bool
    """Whether it is loaded or about to be; else this is how it would be started."""
    ttl: str | None = None
    """Idle seconds until it is unloaded; None: the front end does not say them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """A program that starts and stops one llama-server per model on demand."""

    name: FrontEndName
    title: str
    """How a person calls it."""
    on_path: str = ""
    """The program to look for on PATH; empty: it is llama-server itself."""
    home_page: str = ""
    """Where that program comes from."""

    config_key: str
    """Name of the configuration's file."""
    config: Callable[[tuple[LockedModel, ...], LlamaSwapSettings, Residents], str]
    """Renders that file; a ConfigError says what it cannot hold."""
    command: Callable[[LlamaSwapSettings, Listen, Residents], tuple[str, ...]]
    """Lists the program and its arguments."""
    env: Mapping[str, str]
    """Its part of the environment, which every llama-server inherits."""
    key_variable: str = ""
    """The variable with all API keys, joined by commas; empty: its file names one for each."""
    inherited_keys: frozenset[str] = frozenset()
    """Variables that no API key may be in: each llama-server would ask for that key itself."""

    residents: Callable[[tuple[LockedModel, ...], Residency, Machine], Residents]
    """Works out what it may hold; a ConfigError says what does not fit, or it cannot be told."""
    reachable_sets: Callable[[tuple[LockedModel, ...], Residency, Machine], Sets]
    """Works out the largest sets that it may come to hold, and refuses what `residents` does."""
    ends_slow_loads: bool
    """Whether it gives a load up after `health_check_timeout_s`."""

    health_path: str
    """What answers 200 once it listens: without a key, loading no model."""
    residents_path: str
    """What it answers to with the models that are loaded, loading none."""
    started: Callable[[object], tuple[Started, ...] | None]
    """Reads that answer; None: another program's."""
    command_field: str
    """Where that answer holds a model's command line."""
    handed_down: tuple[str, ...] = ()
    """The arguments of its own that each llama-server gets too."""
    own_flags: frozenset[str] = frozenset()
    """Flags that it gives to each llama-server itself, or takes from its file and keeps."""
    build_path: str = ""
    """What it answers to with the engine's build; empty: nothing."""
    unknown_model_statuses: tuple[int, ...]
    """What it may answer to a model that it does not have."""
    unload: Callable[[str], tuple[str, Mapping[str, str]]]
    """Names the path and the body of the POST that unloads a model."""

    def program(
        self,
        models: tuple[LockedModel, ...],
        settings: LlamaSwapSettings,
        *,
        port: int,
        residents: Residents,
    ) -> FrontEndProgram:
        """Render all that a container needs.

        Args:
            models: The locked registry, in the operator's order.
            settings: What the operator chose of llama-swap and of what stands behind it.
            port: The port that the pod listens on.
            residents: What it may hold on the card.

        Raises:
            ConfigError: when two models share a name, and for what the file cannot hold.
        """
        # Through a shell for the limit: an engine that crashes in a loop wrote 148 GiB of core
        # files in 50 minutes elsewhere and took its node down.
        script = "ulimit -c 0; "
        if self.key_variable and settings.api_key_env:
            # A variable that is missing or empty ends the shell: llama-server would drop that key
            # without a word, and ask for none at all when it was the only one.
            keys = ",".join(f"${{{name}:?}}" for name in settings.api_key_env)
            script += f'export {self.key_variable}="{keys}"; '
        listen = Listen(port=port, config_path=f"{CONFIG_DIR}/{self.config_key}")
        return FrontEndProgram(
            config_key=self.config_key,
            config=self.config(models, settings, residents),
            script=f"{script}exec {shlex.join(self.command(settings, listen, residents))}",
            health_path=self.health_path,
            env=self.env,
        )

    def key_env(self, keys: Mapping[str, str]) -> Mapping[str, str]:
        """Make keys, each under its variable's name, the environment in which it takes them."""
        if self.key_variable and keys:
            return {self.key_variable: ",".join(keys.values())}
        return keys

    def loaded(self, answer: object) -> tuple[str, ...] | None:
        """Read which models are loaded or about to be, as `started` does.

        A sleeping model holds no memory and does not count.
        """
        started = self.started(answer)
        if started is None:
            return None
        return tuple(each.model for each in started if each.is_loaded)


def entries(answer: object, key: str) -> list[dict[str, Any]] | None:
    """Read a list of objects out of an answer; None where it holds no such list."""
    listed = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        return None
    return [each for each in listed if isinstance(each, dict)]
