"""Read the shape of a language model or a projector from a GGUF file's header.

Missing keys have the same defaults as in llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from llama_swap_config.lock.header import WORD, ProjectorHeader, WeightsHeader, counts
from llama_swap_config.lock.locked import Role
from ops.gguf.table import FileSource, GgufError, Items, Source, Table, read_table

_MERGES_BY_DEFAULT = {"qwen2vl_merger": 2, "qwen2.5vl_merger": 2, "qwen3vl_merger": 2}
_VISION = "clip.vision"


def read_header(source: Source, role: Role) -> WeightsHeader | ProjectorHeader:
    """Read the shape from a file's header.

    Args:
        source: The file.
        role: The expected role.

    Raises:
        GgufError: when it is not a GGUF file, is malformed, has the other role or lacks a key.
    """
    facts = _Facts(name=source.name, table=read_table(source))
    header = _weights(facts) if role == "model" else _projector(facts)
    for field in fields(header):
        value = getattr(header, field.name)
        bounds = counts(field.name)
        if type(value) is int and value not in bounds:
            raise GgufError(
                f"{source.name}: {field.name} is {value}; expected {bounds.start} to 2**48"
            )
    return header


def read_file_header(path: Path, role: Role) -> WeightsHeader | ProjectorHeader:
    """Read the shape from the header of a file on this machine.

    Raises:
        GgufError: as `read_header`, and when the file cannot be read.
    """
    try:
        return read_header(FileSource(path=path), role)
    except OSError as error:
        raise GgufError(f"{path.name} cannot be read ({error.strerror})") from error


def _weights(facts: _Facts) -> WeightsHeader:
    architecture = facts.word("general.architecture")
    if architecture == "clip":
        raise GgufError(
            f"{facts.name} is a projector (architecture clip); expected a language model"
        )

    def number(key: str, default: int | None = None) -> int:
        return facts.number(f"{architecture}.{key}", default)

    heads = number("attention.head_count")
    width = number("embedding_length")
    return WeightsHeader(
        architecture=architecture,
        layers=number("block_count"),
        width=width,
        feed_forward=number("feed_forward_length"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        key_size=number("attention.key_length", width // max(heads, 1)),
        value_size=number("attention.value_length", width // max(heads, 1)),
        vocabulary=_vocabulary(facts, f"{architecture}.vocab_size"),
        train_context=number("context_length"),
        deepstack_layers=number("n_deepstack_layers", 0),
        output_tied="output.weight" not in facts.table.tensors,
        tensor_bytes=facts.tensor_bytes,
        token_embedding_bytes=facts.size_of("token_embd.weight"),
    )


def _vocabulary(facts: _Facts, key: str) -> int:
    tokens = facts.table.keys.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, Items) else facts.number(key)


def _projector(facts: _Facts) -> ProjectorHeader:
    architecture = facts.word("general.architecture")
    if architecture != "clip":
        raise GgufError(
            f"{facts.name} is a model of architecture {architecture}; expected a projector"
        )
    has_own_type = "clip.projector_type" in facts.table.keys
    kind = facts.word("clip.projector_type" if has_own_type else f"{_VISION}.projector_type")
    deepstack = facts.table.keys.get(f"{_VISION}.is_deepstack_layers")
    return ProjectorHeader(
        projector_type=kind,
        output_width=_output_width(facts),
        layers=facts.number(f"{_VISION}.block_count"),
        width=facts.number(f"{_VISION}.embedding_length"),
        feed_forward=facts.number(f"{_VISION}.feed_forward_length"),
        heads=facts.number(f"{_VISION}.attention.head_count"),
        image_px=facts.number(f"{_VISION}.image_size"),
        patch_px=facts.number(f"{_VISION}.patch_size"),
        merge=facts.number(f"{_VISION}.spatial_merge_size", _MERGES_BY_DEFAULT.get(kind, 1)),
        deepstack_layers=(sum(map(bool, deepstack.values)) if isinstance(deepstack, Items) else 0),
        tensor_bytes=facts.tensor_bytes,
    )


def _output_width(facts: _Facts) -> int:
    """Read the output width; MiniCPM's converter writes 0, then the resampler's tensor has it."""
    last = facts.table.tensors.get("resampler.proj.weight")
    width = facts.number(f"{_VISION}.projection_dim", 0 if last else None)
    return width or (last.dimensions[0] if last and last.dimensions else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Typed access to a table."""

    name: str
    table: Table

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.table.tensors.values())

    def size_of(self, tensor: str) -> int:
        if tensor not in self.table.tensors:
            raise GgufError(f"{self.name} has no tensor {tensor}")
        return self.table.tensors[tensor].size_bytes

    def word(self, key: str) -> str:
        value = self.table.keys.get(key)
        if not isinstance(value, str) or not WORD.fullmatch(value):
            raise self._wrong(key, "a word")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        """Read a whole number; a list of numbers, one for each layer, must have equal items."""
        if key not in self.table.keys and default is not None:
            return default
        value = self.table.keys.get(key)
        if isinstance(value, Items) and len(set(value.values)) == 1:
            value = value.values[0]
        if type(value) is not int:
            raise self._wrong(key, "a whole number, the same in all layers")
        return value

    def _wrong(self, key: str, expected: str) -> GgufError:
        if key not in self.table.keys:
            return GgufError(f"{self.name} has no key {key}")
        shown = repr(self.table.keys[key])[:80]
        return GgufError(f"{self.name}: {key} is {shown}; expected {expected}")
