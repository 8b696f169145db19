"""The gateway in front of the models that `up` serves, with a key for each consumer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from in_pod.gateway.contract import PACKAGE
from llama_swap_config.fit.residency import Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.litellm import render_litellm
from llama_swap_config.gateway.policy import render_policy
from llama_swap_config.gateway.pool import GatewayPool
from llama_swap_config.gateway.settings import ExistingGateway
from ops.commands.gateway.keys import rotation
from ops.commands.gateway.keys.directory import KeysDirectory
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.commands.serve.served_keys import ServedKey
from ops.endpoint import residents as loaded_models
from ops.endpoint.api_key import KEY_VARIABLE
from ops.endpoint.client import Endpoint
from ops.endpoint.consumer_keys import BrokenEntryError, valid_keys
from ops.errors import OpsError
from ops.machine import gateway
from ops.machine.checkout import ROOT
from ops.machine.litellm import litellm_version
from ops.machine.ports import refusal
from ops.machine.private_file import private_directory, read_private, write_private
from ops.report.terminal import Say
from stacks.settings import Settings

_UNLOAD_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGateway:
    """A gateway that runs on this machine."""

    url: str
    """`http://127.0.0.1:PORT`."""
    consumers: tuple[Consumer, ...]
    key_files: Mapping[str, Path]
    """Name of a consumer -> the file with its key."""

    def key(self, consumer: Consumer) -> ServedKey:
        """Return a consumer's key."""
        return ServedKey(variable=KEY_VARIABLE, file=self.key_files[consumer.name])

    def examples(self) -> Iterator[tuple[Consumer, str]]:
        """Yield two consumers (or the only one), each with a model to ask.

        It is the same model if there are two that may both ask one: otherwise the second request
        would be refused as long as the first one's model is protected.
        """
        for pair in combinations(self.consumers, 2):
            shared = [model for model in pair[0].models if model in pair[1].models]
            if shared:
                yield from ((consumer, shared[0]) for consumer in pair)
                return
        for consumer in self.consumers[:2]:
            yield consumer, consumer.models[0]


def start(
    served: Served,
    store: LocalStore,
    state_dir: Path,
    *,
    consumers: tuple[Consumer, ...],
    settings: Settings,
    residents: Residents,
    say: Say,
) -> ServedGateway:
    """Start the gateway before a front end, or return the running one if nothing has changed.

    Args:
        served: The front end.
        store: The models that it serves.
        state_dir: The directory of configuration, keys, log and record.
        consumers: The declared consumers.
        settings: Production's settings, for limits and card.
        residents: The models that the front end may hold at once.
        say: Receives a line for the operator.

    Raises:
        OpsError: when there is no consumer, a key cannot be stored, or LiteLLM does not start.
    """
    check_consumers(consumers)
    key_files = make_keys(consumers, state_dir)
    limits = settings.gateway or ExistingGateway(
        namespace=settings.namespace, litellm_version=litellm_version()
    )
    # Nobody else owns a card of this machine.
    pool = GatewayPool(
        endpoint_url=served.url,
        front_end=served.front_end,
        timeout_s=settings.llama_swap.health_check_timeout_s + limits.answer_timeout_s,
        machine=settings.node.machine,
        cards=settings.gpu.count,
        residents=residents,
    )
    config = render_litellm(store.models, (pool,))
    policy = render_policy(
        store.models,
        consumers,
        (pool,),
        litellm_version=litellm_version(),
        pictures=limits.pictures,
        allowed_origins=limits.allowed_origins,
        internal_ranges=settings.internal_ranges,
    )
    endpoint_key = served.key.read() if served.key else ""
    wanted = _fingerprint(config, policy, endpoint_key)
    # A gateway that starts protects what is loaded, because it does not know who uses it.
    _unload(served, endpoint_key)
    record = state_dir / "gateway" / "running.json"
    before = _recorded(record)
    if before.get("fingerprint") == wanted and gateway.is_running(state_dir):
        url = before["url"]
        say(f"the gateway already runs at {url}")
    else:
        gateway.stop(state_dir)
        say(f"starting LiteLLM {litellm_version()} with the gateway's hooks")
        url = gateway.start(
            state_dir,
            config=config,
            policy=policy,
            keys_dir=keys_dir(state_dir),
            endpoint_key=endpoint_key,
            port=_port(before),
            say=say,
        ).url
        record.write_text(json.dumps({"url": url, "fingerprint": wanted}))
    return ServedGateway(url=url, consumers=consumers, key_files=key_files)


def check_consumers(consumers: tuple[Consumer, ...]) -> None:
    """Require a consumer.

    Raises:
        OpsError: when there is none.
    """
    if not consumers:
        raise OpsError(
            "CONSUMERS of llama_swap_config/consumers.py is empty; expected at least one consumer "
            "for --gateway. Declare one, or omit --gateway"
        )


def keys_dir(state_dir: Path) -> Path:
    """Return the directory of the keys' hashes, which the gateway reads again when it changes."""
    return state_dir / "gateway" / "keys"


def make_keys(consumers: tuple[Consumer, ...], state_dir: Path) -> dict[str, Path]:
    """Make the keys that do not exist, and those whose hash the gateway no longer has.

    Args:
        consumers: The declared consumers.
        state_dir: The directory of the keys and of their hashes.

    Returns:
        Name of a consumer -> the file with its key, which only its owner can read.

    Raises:
        RefusedError: when a consumer has two valid keys, and the file has neither.
        OpsError: when an entry is broken, or a directory or a file is not this user's alone.
    """
    store = KeysDirectory(keys_dir(state_dir))
    entries = store.read().entries
    folder = state_dir / "keys"
    private_directory(folder)
    files = {}
    for consumer in consumers:
        file = (folder / consumer.name).resolve()
        if not _is_valid(file, entries.get(consumer.name, "")):
            write_private(file, rotation.make(store, consumer.name)[0])
        files[consumer.name] = file
    return files


def _is_valid(file: Path, entry: str) -> bool:
    if not file.exists():
        return False
    sha256 = hashlib.sha256(read_private(file).encode()).hexdigest()
    try:
        return any(key.sha256 == sha256 for key in valid_keys(entry))
    except BrokenEntryError:  # `rotation.make` says what to do about it.
        return False


def _unload(served: Served, endpoint_key: str) -> None:
    nothing = loaded_models.Residents(front_end=FRONT_ENDS[served.front_end])
    with Endpoint(served.url, key=endpoint_key) as endpoint:
        loaded_models.restore(endpoint, nothing, served.models, timeout_s=_UNLOAD_TIMEOUT_S)


def _port(before: Mapping[str, Any]) -> int | None:
    """Return the port of the gateway before, so that clients keep its address, if it is free."""
    port = urlsplit(before.get("url", "")).port
    return port if port is not None and refusal(port) is None else None


def _fingerprint(config: str, policy: str, endpoint_key: str) -> str:
    """Return a hash of all that a running gateway must share to be reused."""
    hooks = sorted((ROOT / "in_pod" / PACKAGE).glob("*.py"))
    sources = [hashlib.sha256(path.read_bytes()).hexdigest() for path in hooks]
    wanted = (config, policy, endpoint_key, sources, litellm_version())
    return hashlib.sha256(repr(wanted).encode()).hexdigest()


def _recorded(record: Path) -> Mapping[str, Any]:
    try:
        stored: Mapping[str, Any] = json.loads(record.read_text())
        return stored
    except (OSError, ValueError):
        return {}
