"""A real LiteLLM with the gateway's hooks, in front of tiny models behind a real front end."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx2

from in_pod.gateway.contract import KEY_PREFIX
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.litellm import render_litellm
from llama_swap_config.gateway.policy import render_policy
from llama_swap_config.gateway.pool import GatewayPool
from llama_swap_config.gateway.settings import Pictures
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from ops.commands.serve.run import Served
from ops.machine import gateway as gateway_process
from ops.machine.gateway import RunningGateway
from ops.machine.litellm import litellm_version
from tests.declaration.settings import SETTINGS
from tests.real.serve.served import served, store_of

NO_INTERNET = {
    # Nothing listens on port 9, so what LiteLLM would ask the internet fails at once.
    **dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"
    ),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
}


def model(name: str, **fields: Any) -> Model:
    return Model(id=name, repository="tiny/random", quantisation="F32", **fields)


def consumer(name: str, *models: str, **fields: Any) -> Consumer:
    return Consumer(name=name, namespace=name, models=models, **fields)


def key_line(key: str, date: str = "2026-11-30") -> str:
    """Write a key as the Secret has it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()} {date}\n"


def new_key() -> str:
    return f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A gateway that a test asks, restarts and changes."""

    folder: Path
    running: RunningGateway
    served: Served
    keys: Mapping[str, str]
    """Consumer -> its key."""
    keys_dir: Path
    _start: Callable[[], RunningGateway]

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def log(self) -> str:
        return self.running.log.read_text(errors="replace")

    def restart(self) -> None:
        """Start it anew at another port, as a pod is replaced."""
        self.running = self._start()

    def client(self, name: str | None = None, **options: Any) -> httpx2.Client:
        """Return a client with a consumer's key (default: without a key)."""
        headers = {"authorization": f"Bearer {self.keys[name]}"} if name else {}
        values: dict[str, Any] = {"timeout": 60, "trust_env": False, "headers": headers}
        return httpx2.Client(base_url=self.url, **values | options)

    def chat(self, name: str, model: str, **fields: Any) -> httpx2.Response:
        """Ask a model a word as a consumer."""
        body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
        with self.client(name) as client:
            return client.post("/v1/chat/completions", json=body | fields)


def policy_of(
    models: tuple[LockedModel, ...],
    consumers: tuple[Consumer, ...],
    *,
    endpoint_url: str,
    front_end: FrontEndName,
    **changes: Any,
) -> str:
    """Render a policy for tiny models on production's node."""
    of_pool = {name: changes.pop(name) for name in _OF_POOL & changes.keys()}
    return rendered(models, consumers, (behind(endpoint_url, front_end, **of_pool),), **changes)


def rendered(
    models: tuple[LockedModel, ...],
    consumers: tuple[Consumer, ...],
    pools: tuple[GatewayPool, ...],
    **changes: Any,
) -> str:
    """Render a policy for tiny models."""
    values: dict[str, Any] = {"litellm_version": litellm_version(), "pictures": Pictures()}
    return render_policy(models, consumers, pools, **values | changes)


def behind(endpoint_url: str, front_end: FrontEndName, **changes: Any) -> GatewayPool:
    """Return a pool with production's card."""
    values: dict[str, Any] = {"timeout_s": 120, "machine": SETTINGS.node.machine}
    return GatewayPool(endpoint_url=endpoint_url, front_end=front_end, **values | changes)


_OF_POOL = {field.name for field in fields(GatewayPool)}


@contextmanager
def gateway(
    models: tuple[Model, ...],
    consumers: tuple[Consumer, ...],
    folder: Path,
    front_end: FrontEndName = "llama-server",
    *,
    edit_policy: Callable[[str], str] = lambda policy: policy,
    env: Mapping[str, str] | None = None,
    **policy: Any,
) -> Iterator[Gateway]:
    """Run a gateway in front of tiny models while the context lasts.

    Args:
        models: The registry.
        consumers: Its consumers; each has a key.
        folder: An empty directory.
        front_end: Which one; a test is skipped where it is not on this machine.
        edit_policy: Changes the rendered policy, such as a model's size.
        env: Further variables of LiteLLM.
        policy: Further arguments of `render_policy`.
    """
    with served(models, folder / "served", front_end) as endpoint:
        locked = store_of(models, folder / "locked").models
        with gateway_before(
            endpoint,
            locked,
            consumers,
            folder,
            edit_policy=edit_policy,
            env=env,
            **policy,
        ) as running:
            yield running


@contextmanager
def gateway_before(
    endpoint: Served,
    locked: tuple[LockedModel, ...],
    consumers: tuple[Consumer, ...],
    folder: Path,
    *,
    edit_policy: Callable[[str], str] = lambda policy: policy,
    env: Mapping[str, str] | None = None,
    **policy: Any,
) -> Iterator[Gateway]:
    """Run a gateway in front of an endpoint that runs already."""
    config = render_litellm(locked, (behind(endpoint.url, endpoint.front_end),))
    text = policy_of(
        locked, consumers, endpoint_url=endpoint.url, front_end=endpoint.front_end, **policy
    )
    with started(
        endpoint, consumers, folder, config=config, policy=edit_policy(text), env=env
    ) as running:
        yield running


@contextmanager
def started(
    endpoint: Served,
    consumers: tuple[Consumer, ...],
    folder: Path,
    *,
    config: str,
    policy: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """Run a gateway of a configuration and a policy.

    Args:
        endpoint: The endpoint that a test asks directly.
        consumers: Its consumers; each has a key.
        folder: An empty directory.
        config: LiteLLM's config.yaml.
        policy: The policy.
        env: Further variables of LiteLLM.
    """
    keys_dir = folder / "keys"
    keys_dir.mkdir(parents=True)
    keys = {each.name: new_key() for each in consumers}
    for name, key in keys.items():
        (keys_dir / name).write_text(key_line(key))

    def start() -> RunningGateway:
        return gateway_process.start(
            folder,
            config=config,
            policy=policy,
            keys_dir=keys_dir,
            env=NO_INTERNET | dict(env or {}),
            say=print,
        )

    try:
        yield Gateway(
            folder=folder,
            running=start(),
            served=endpoint,
            keys=keys,
            keys_dir=keys_dir,
            _start=start,
        )
    finally:
        gateway_process.stop(folder)
