"""The doors to one front end: the gateway, LiteLLM alone, and the front end itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import yaml

from benchmarks.swap.arms import NAMES, front_end, uninterrupted
from benchmarks.swap.tiny_store import make_store
from llama_swap_config.fit.card import Card, Machine
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.litellm import render_litellm
from llama_swap_config.gateway.policy import render_policy
from llama_swap_config.gateway.pool import GatewayPool
from llama_swap_config.gateway.settings import Pictures
from ops.commands.serve.run import available
from ops.endpoint.consumer_keys import hash_of, new_key
from ops.machine import gateway
from ops.machine.litellm import litellm_version
from ops.machine.llama_build import BUILD
from ops.report.terminal import Say

MODELS = ("tiny-a", "tiny-b", "tiny-c")
"""They differ in nothing but their random weights."""
CLIENTS = 8
GATEWAY, PROTECTED, ALONE = "gateway", "gateway, 3 consumers", "LiteLLM alone"
_LOAD = b"load_model: loading model '"
"""What llama-server logs at each load; both front ends pass it on."""
_TIMEOUT_S = 120
_ONE = Consumer(
    name="one",
    namespace="one",
    models=MODELS,
    parallel_requests=CLIENTS,
    # The three, which asked before, still protect their models.
    may_evict=True,
    protected_s=0,
)
_THREE = tuple(
    Consumer(name=f"of-{model}", namespace=model, models=(model,), parallel_requests=CLIENTS)
    for model in MODELS
)
_HOOKS = ("custom_auth", "custom_auth_run_common_checks")
_MASTER_KEY_VARIABLE = "LITELLM_MASTER_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose requests a client sends."""

    key: str = field(repr=False)
    models: tuple[str, ...] = MODELS
    """Each request is for one of these, at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to the front end."""

    name: str
    port: int
    """On 127.0.0.1."""
    callers: tuple[Caller, ...]
    """The clients are these, in turn."""
    log: Path
    """The front end's log."""

    def loads(self) -> int:
        """Count the models that the front end has loaded, by its log."""
        counted = -1
        # What a llama-server logs arrives a moment after its answer.
        while (loads := self.log.read_bytes().count(_LOAD)) != counted:
            counted = loads
            time.sleep(0.1)
        return loads


@contextmanager
def doors(folder: Path, *, say: Say) -> Iterator[tuple[Door, ...]]:
    """Run the front end, LiteLLM alone and the gateway while the context lasts.

    Args:
        folder: An empty directory.
        say: Receives a line for the operator.
    """
    store = make_store(folder / "models", MODELS)
    with ExitStack() as stack:
        front = stack.enter_context(front_end(available()[0], store, folder / "front-end"))
        served = front.served
        pool = GatewayPool(
            endpoint_url=served.url,
            front_end=served.front_end,
            timeout_s=_TIMEOUT_S,
            machine=Machine(card=Card(product="Tesla-T4"), engine_build=BUILD),
        )
        config = render_litellm(store.models, (pool,))
        policy = render_policy(
            store.models,
            (_ONE, *_THREE),
            (pool,),
            litellm_version=litellm_version(),
            pictures=Pictures(),
        )
        keys = {consumer.name: new_key() for consumer in (_ONE, *_THREE)}
        master_key = new_key()
        hooked = stack.enter_context(
            _litellm(folder / "hooked", config=config, policy=policy, keys=keys, say=say)
        )
        alone = stack.enter_context(
            _litellm(
                folder / "alone",
                config=_without_hooks(config),
                env={_MASTER_KEY_VARIABLE: master_key},
                say=say,
            )
        )
        three = tuple(
            Caller(key=keys[consumer.name], models=consumer.models) for consumer in _THREE
        )
        yield tuple(
            Door(name=name, port=port, callers=callers, log=served.log)
            for name, port, callers in (
                (GATEWAY, hooked, (Caller(key=keys[_ONE.name]),)),
                (PROTECTED, hooked, three),
                (ALONE, alone, (Caller(key=master_key),)),
                (NAMES[served.front_end], front.port, (Caller(key="none"),)),
            )
        )


@contextmanager
def _litellm(
    folder: Path,
    *,
    config: str,
    policy: str = "",
    keys: Mapping[str, str] = MappingProxyType({}),
    env: Mapping[str, str] = MappingProxyType({}),
    say: Say,
) -> Iterator[int]:
    """Run LiteLLM while the context lasts, and yield its port."""
    keys_dir = folder / "keys"
    keys_dir.mkdir(parents=True)
    for name, key in keys.items():
        (keys_dir / name).write_text(f"{hash_of(key, datetime.now(UTC).date()).line}\n")
    try:
        running = gateway.start(
            folder, config=config, policy=policy, keys_dir=keys_dir, env=env, say=say
        )
        yield urlsplit(running.url).port or 0
    finally:
        with uninterrupted():
            gateway.stop(folder)


def _without_hooks(config: str) -> str:
    """Return the configuration for a LiteLLM without hooks, which has one key."""
    document = yaml.safe_load(config)
    general = document["general_settings"]
    for name in _HOOKS:
        del general[name]
    general["master_key"] = f"os.environ/{_MASTER_KEY_VARIABLE}"
    return yaml.safe_dump(document)
