"""The policy that llama_swap_config renders: consumers, models, pools, pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ONLY = "only"
"""Name of the pool where there is one."""


class PolicyError(Exception):
    """The policy is damaged, or of another version of the hooks; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint behind the gateway."""

    url: str
    """Its address, without a path."""
    front_end: str
    """`llama-swap` or `llama-server`."""
    timeout_s: int
    """Seconds for an answer, a load included."""
    state_url: str | None
    """Where the exporter says what the endpoint waits for; None: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Models of several cards that llama-swap keeps together."""

    split: tuple[str, ...]
    """Models that are on several cards: all of them."""
    choices: tuple[tuple[tuple[str, ...], ...], ...]
    """Card by card, the sets of models that are on it alone: one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card, or several alike, and which models may be loaded together."""

    usable_mib: int
    """Of one card."""
    tenants: tuple[str, ...]
    """`namespace/name` of the workloads that own the card outside a window."""
    sets: tuple[tuple[str, ...], ...]
    """llama-swap's sets where all models are on one card; a model in none runs alone."""
    models_max: int
    """How many models the router keeps."""
    count: int = 1
    """How many cards the pod has."""
    combinations: tuple[Combination, ...] = ()
    """llama-swap's sets where the models are on several cards."""


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
    homes: tuple[str, ...]
    """Names of the pools that may serve it, its home first."""


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
class Pool:
    """An endpoint with its cards: what one admission decides by."""

    name: str
    endpoint: Endpoint
    card: Card
    vram_mib: Mapping[str, Mapping[int, float]]
    """Id of a model -> number of a card -> MiB that it takes of that card."""
    consumers: Mapping[str, Consumer]
    """Name -> consumer; all of them."""

    def loaded_mib(self, models: Iterable[str], card: int) -> float:
        """Return what models take of a card."""
        return sum(self.vram_mib[model].get(card, 0) for model in models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy."""

    litellm_version: str
    allowed_origins: tuple[str, ...]
    """Origins of web pages that may ask."""
    pictures: Pictures
    models: Mapping[str, Model]
    """Id -> model."""
    consumers: Mapping[str, Consumer]
    """Name -> consumer."""
    pools: Mapping[str, Pool]
    """Name -> pool; the first one first."""

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
        consumers = {
            name: Consumer(**_tuples(consumer)) for name, consumer in document["consumers"].items()
        }
        # One pool stands in the document itself, and needs no name.
        pools = document.get("pools", {_ONLY: document})
        homes = {name: _homes(model) for name, model in document["models"].items()}
        if unknown := {name for mib in homes.values() for name in mib}.difference(pools):
            raise ValueError(f"no pool is named {', '.join(sorted(unknown))}")
        return Policy(
            litellm_version=document["litellm_version"],
            allowed_origins=tuple(document["allowed_origins"]),
            pictures=Pictures(**_tuples(document["pictures"])),
            models={
                name: Model(aliases=tuple(model["aliases"]), homes=tuple(homes[name]))
                for name, model in document["models"].items()
            },
            consumers=consumers,
            pools={
                name: Pool(
                    name=name,
                    endpoint=Endpoint(**pool["endpoint"]),
                    card=_card(pool["card"]),
                    vram_mib={model: mib[name] for model, mib in homes.items() if name in mib},
                    consumers=consumers,
                )
                for name, pool in pools.items()
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


def _homes(model: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Return the MiB that a model takes: pool -> card -> MiB; its home first."""
    homes = model.get("homes", ({"pool": _ONLY, "vram_mib": model.get("vram_mib")},))
    return {home["pool"]: _by_card(home["vram_mib"]) for home in homes}


def _by_card(vram_mib: Any) -> dict[int, float]:
    by_card = vram_mib if isinstance(vram_mib, dict) else {0: vram_mib}
    return {int(card): float(mib) for card, mib in by_card.items()}


def _card(fields: Mapping[str, Any]) -> Card:
    combinations = (Combination(**_tuples(it)) for it in fields.get("combinations", ()))
    return Card(**_tuples(fields) | {"combinations": tuple(combinations)})


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value
