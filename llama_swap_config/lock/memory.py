"""What the engine said that a model takes of the card: figures that the lock keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from llama_swap_config.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AtContext:
    """The terms that depend on the context, in MiB."""

    context: int
    """`--ctx-size`, in tokens for all slots."""
    kv_cache_mib: float
    """Every cache of the model: attention with and without a sliding window, recurrent states."""
    compute_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCard:
    """A card's part of a model whose layers are split over several, in MiB."""

    weights_mib: float
    contexts: tuple[AtContext, ...]
    """By context, as those of the first card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of one engine build for certain files and flags, in MiB.

    They are those of llama-server's log, which has two decimals. None of them includes what CUDA
    itself takes. Of a model on several cards they are the first one's.
    """

    engine_build: int
    flags: str
    """The flags on which they depend, but for the context: from `memory_flags`."""
    sha256: tuple[str, ...]
    """The files that they hold for: the weights' parts, then the projector."""
    weights_mib: float
    projector_mib: float
    """The projector's tensors; 0 without one, or where it stays on the CPU."""
    vision_compute_mib: float
    """The projector's compute buffer for the largest image."""
    contexts: tuple[AtContext, ...]
    """By context, the smallest first; at least one."""
    other_cards: tuple[OnCard, ...] = ()
    """The parts of a model's second and later card; empty on one card."""

    @property
    def on_cards(self) -> tuple[OnCard, ...]:
        """The model's part of each of its cards, without its projector."""
        first = OnCard(weights_mib=self.weights_mib, contexts=self.contexts)
        return (first, *self.other_cards)


def as_document(measured: Measured) -> dict[str, Any]:
    """Return the figures as an entry of a lock writes them."""
    values = asdict(measured)
    if not measured.other_cards:
        del values["other_cards"]
    return values


def read_measured(subject: str, values: Any, remedy: str) -> Measured:
    """Check the figures of a lock's entry.

    Args:
        subject: The entry in errors.
        values: One object of its list `memory`.
        remedy: What to do about wrong figures.

    Raises:
        ConfigError: when a field is missing, unknown or wrong.
    """
    subject = f"{subject}, memory"
    read = _read(subject, Measured, values, remedy)
    contexts = _contexts(subject, read, remedy)
    other_cards = []
    for each in read.get("other_cards", ()):
        part = _read(subject, OnCard, each, remedy)
        of_part = _contexts(subject, part, remedy)
        if [at.context for at in of_part] != [at.context for at in contexts]:
            raise ConfigError.of(
                subject, "other_cards", [at.context for at in of_part],
                expected="the contexts of the first card", remedy=remedy,
            )  # fmt: skip
        other_cards.append(OnCard(weights_mib=part["weights_mib"], contexts=of_part))
    return Measured(
        **read
        | {
            "sha256": tuple(read["sha256"]),
            "contexts": contexts,
            "other_cards": tuple(other_cards),
        }
    )


def _contexts(subject: str, values: dict[str, Any], remedy: str) -> tuple[AtContext, ...]:
    contexts = [_read(subject, AtContext, each, remedy) for each in values["contexts"]]
    listed = [each["context"] for each in contexts]
    if listed != sorted(set(listed)):
        raise ConfigError.of(
            subject, "contexts", listed, expected="different ones, the smallest first",
            remedy=remedy,
        )  # fmt: skip
    return tuple(AtContext(**each) for each in contexts)


def _read(subject: str, kind: type, values: Any, remedy: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError.of(subject, "memory", values, expected="an object", remedy=remedy)
    names = [field.name for field in fields(kind)]
    for name in sorted(set(values) - set(names)):
        raise ConfigError.of(
            subject, "a field", name, expected=f"one of {', '.join(names)}", remedy=remedy
        )
    for name in names:
        if name in _OPTIONAL and name not in values:
            continue
        expected, is_valid = _FIELDS[name.removesuffix("_mib")]
        if not is_valid(values.get(name)):
            raise ConfigError.of(subject, name, values.get(name), expected=expected, remedy=remedy)
    return values


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**48


def _is_mib(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**28


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(it, kind) for it in value)


_MIB = ("MiB, a number of at least 0", _is_mib)
_FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "engine_build": ("a whole number of at least 1", _is_count),
    "flags": ("flags of llama-server", lambda value: isinstance(value, str)),
    "sha256": ("the sha256 of each file", lambda value: _is_list_of(str, value)),
    "contexts": ("a list of contexts", lambda value: _is_list_of(dict, value)),
    "context": ("a whole number of at least 1", _is_count),
    "other_cards": ("a list of cards", lambda value: _is_list_of(dict, value)),
    **dict.fromkeys(("weights", "projector", "vision_compute", "kv_cache", "compute"), _MIB),
}
"""Field, without its unit -> what it expects, and whether a value is that."""
_OPTIONAL = ("other_cards",)
"""Fields that only a model on several cards has."""
