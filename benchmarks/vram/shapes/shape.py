"""What a GGUF file of a model holds: an architecture, keys, tensors and a vocabulary's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gguf import GGMLQuantizationType as Kind

Value = bool | int | float | str | tuple[bool | int | float, ...]
Keys = Mapping[str, Value]
"""Metadata by name, without the architecture in front."""


class Tensor(NamedTuple):
    """One tensor."""

    name: str
    rows: tuple[int, ...]
    """Its shape with the rows first, as in numpy; llama.cpp lists it the other way round."""
    kind: Kind | None = None
    """Its type (default: that of the file)."""


Tensors = Iterator[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One file."""

    architecture: str
    """Of a language model; `clip` for a projector."""
    keys: Keys
    tensors: tuple[Tensor, ...]
    vocabulary: int = 0
    """Number of tokens (default: the file has no tokenizer)."""
    signed_key: str = ""
    """The key that llama.cpp reads as a signed number (default: none)."""

    def number(self, key: str) -> int:
        """Return the value of a key that is a whole number."""
        value = self.keys[key]
        assert isinstance(value, int)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A model that is published as a language model and a projector."""

    name: str
    source: str
    """Where its numbers are published."""
    text: Shape
    tower: Shape

    @property
    def context(self) -> int:
        """Tokens that it was trained for."""
        return self.text.number("context_length")


def matrix(name: str, outputs: int, inputs: int) -> Tensors:
    """Weights of a linear layer without bias."""
    yield Tensor(f"{name}.weight", (outputs, inputs))


def linear(name: str, outputs: int, inputs: int) -> Tensors:
    """Weights of a linear layer with bias."""
    yield Tensor(f"{name}.weight", (outputs, inputs))
    yield Tensor(f"{name}.bias", (outputs,))


def scale(name: str, width: int) -> Tensors:
    """Weights of a normalisation without bias."""
    yield Tensor(f"{name}.weight", (width,))


def norm(name: str, width: int) -> Tensors:
    """Weights of a normalisation with bias."""
    yield Tensor(f"{name}.weight", (width,))
    yield Tensor(f"{name}.bias", (width,))
