"""The policy that llama_swap_config renders: consumers, models, card, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class PolicyError(Exception):
    """The policy is damaged, or of another version of the hooks; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The endpoint behind the gateway."""

    url: str
    """Its address, without a path."""
    front_end: str
    """`llama-swap` or `llama-server`."""
    timeout_s: int
    """Seconds for an answer, a load included."""
    state_url: str | None
    """Where the exporter says what the endpoint waits for; None: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card, and which models may be on it together."""

    usable_mib: int
    tenants: tuple[str, ...]
    """`namespace/name` of the workloads that own the card outside a window."""
    sets: tuple[tuple[str, ...], ...]
    """llama-swap's sets; a model in none runs alone."""
    models_max: int
    """How many models the router keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What a request may carry."""

    number: int
    bytes: int
    """Of one picture."""
    pixels: int
    """Of one picture, width times height."""
    internal_ranges: tuple[str, ...]
    """Public ranges, in CIDR, that no picture may come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the registry."""

    aliases: tuple[str, ...]
    vram_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A consumer, as llama_swap_config/gateway/consumer.py describes its fields."""

    models: tuple[str, ...]
    requests_per_minute: int | None
    parallel_requests: int
    may_evict: bool
    protected_s: int
    remote_images: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy."""

    litellm_version: str
    allowed_origins: tuple[str, ...]
    """Origins of web pages that may ask."""
    endpoint: Endpoint
    card: Card
    pictures: Pictures
    models: Mapping[str, Model]
    """Id -> model."""
    consumers: Mapping[str, Consumer]
    """Name -> consumer."""

    def model_id(self, name: object) -> str | None:
        """Return the id of a model, by its id or an alias; None if there is no such model."""
        if not isinstance(name, str):
            return None
        if name in self.models:
            return name
        return next((found for found, it in self.models.items() if name in it.aliases), None)


def read_policy(path: Path) -> Policy:
    """Read the policy.

    Raises:
        PolicyError: when the file cannot be read, or is not a policy of this version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != 1:
            raise ValueError(f"version is {document['version']!r}; expected 1")
        return Policy(
            litellm_version=document["litellm_version"],
            allowed_origins=tuple(document["allowed_origins"]),
            endpoint=Endpoint(**document["endpoint"]),
            card=Card(**_tuples(document["card"])),
            pictures=Pictures(**_tuples(document["pictures"])),
            models={name: Model(**_tuples(it)) for name, it in document["models"].items()},
            consumers={
                name: Consumer(**_tuples(consumer))
                for name, consumer in document["consumers"].items()
            },
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise PolicyError(
            f"{path} is not a policy of this gateway ({type(error).__name__}: {reason}). Deploy "
            "hooks and policy from one commit"
        ) from error


def check_litellm(policy: Policy, running: str) -> None:
    """Check that LiteLLM's version is one whose hooks were tried.

    Args:
        policy: The policy.
        running: The version that runs.

    Raises:
        PolicyError: when it is another major version.
    """
    if running.split(".")[0] != policy.litellm_version.split(".")[0]:
        raise PolicyError(
            f"LiteLLM is {running}; expected {policy.litellm_version} or another release of that "
            "major version. Correct gateway.litellm_version and its image"
        )


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value
