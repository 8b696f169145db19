"""A consumer of the endpoint, and the checks across consumers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llama_swap_config.cluster.patterns import DNS_LABEL
from llama_swap_config.errors import ConfigError
from llama_swap_config.model import Model
from llama_swap_config.typed import typed

_DAY_S = 24 * 3600


@typed("consumer")
@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A program that asks the models, with a key of its own.

    Raises:
        ConfigError: when a field has a value that it does not accept; the message names both.
    """

    name: str
    """Name of its keys and in metrics; a DNS label."""
    namespace: str
    """Namespace of its pods, which no other consumer has: the network knows only namespaces."""
    models: tuple[str, ...]
    """Ids of the models that it may ask."""
    requests_per_minute: int | None = None
    """Requests in a minute; further ones get 429 (default: no limit)."""
    parallel_requests: int = 4
    """Requests at once; further ones get 429. llama-swap takes 10 for one model."""
    may_evict: bool = False
    """Whether its request may end a model that another consumer uses. Otherwise it gets 503 while
    that model answers or is protected."""
    protected_s: int = 60
    """Seconds after its last answer in which a consumer without `may_evict` cannot end its
    model."""
    remote_images: bool = False
    """Whether it may send the address of a picture, which the gateway then fetches, instead of
    the picture itself."""

    def __post_init__(self) -> None:
        for field in ("name", "namespace"):
            value = getattr(self, field)
            if not DNS_LABEL.fullmatch(value):
                raise self.error(field, value, "a DNS label", "Correct it")
        if not self.models or len(set(self.models)) < len(self.models):
            raise self.error(
                "models", self.models, "ids of the registry, at least one, none twice",
                "Name the models that it may ask",
            )  # fmt: skip
        for field, value, least in (
            ("requests_per_minute", self.requests_per_minute, 1),
            ("parallel_requests", self.parallel_requests, 1),
            ("protected_s", self.protected_s, 0),
        ):
            if value is not None and value < least:
                raise self.error(
                    field, value, f"a whole number of at least {least}", "Correct the number"
                )
        if self.protected_s > _DAY_S:
            raise self.error(
                "protected_s", self.protected_s, f"at most a day, {_DAY_S}", "Correct the number"
            )

    def error(self, field: str, value: object, expected: str, remedy: str) -> ConfigError:
        """Make the error for a field of this consumer."""
        return ConfigError.of(
            f"consumer {self.name!r}", field, value, expected=expected, remedy=remedy
        )


def check_consumers(
    consumers: Iterable[Consumer], models: tuple[Model, ...]
) -> tuple[Consumer, ...]:
    """Check that names and namespaces are unique and that the models exist.

    Args:
        consumers: The consumers, in the operator's order; may be empty.
        models: The checked registry.

    Returns:
        The same consumers.

    Raises:
        ConfigError: naming the consumer.
    """
    checked = tuple(consumers)
    ids = tuple(model.id for model in models)
    id_of = {alias: model.id for model in models for alias in model.aliases}
    seen: dict[str, Consumer] = {}
    for consumer in checked:
        for field in ("name", "namespace"):
            value = getattr(consumer, field)
            other = seen.setdefault(f"{field} {value}", consumer)
            if other is not consumer:
                raise consumer.error(
                    field, value, f"another one than consumer {other.name!r} has",
                    "Change one, or make the two one consumer",
                )  # fmt: skip
        for model_id in consumer.models:
            if model_id not in ids:
                of_alias = id_of.get(model_id)
                raise consumer.error(
                    "models", model_id, f"an id of the registry: {', '.join(ids)}",
                    f"Write {of_alias!r}, whose alias this is" if of_alias else "Correct it",
                )  # fmt: skip
    return checked
