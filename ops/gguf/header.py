"""Read the shape of a language model or a projector from the header of its GGUF files.

Any architecture and any type of projector is readable: missing keys have llama.cpp's defaults, or
are 0, and a number that differs by layer is the largest of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from llama_swap_config.lock.header import WORD, ProjectorHeader, WeightsHeader, counts
from llama_swap_config.lock.locked import Role
from ops.gguf.table import (
    FileSource,
    GgufError,
    Items,
    Scalar,
    Source,
    Table,
    Tensor,
    read_table,
)

_MERGES_BY_DEFAULT = {"qwen2vl_merger": 2, "qwen2.5vl_merger": 2, "qwen3vl_merger": 2}
_VISION = "clip.vision"


def read_header(
    source: Source, role: Role, *, parts: Sequence[Source] = ()
) -> WeightsHeader | ProjectorHeader:
    """Read the shape from a file's header, and the tensors of all parts of a split model.

    Args:
        source: The file, or the first part.
        role: The expected role.
        parts: The second and later parts, in their order (default: none).

    Raises:
        GgufError: when it is not a GGUF file, is malformed, has the other role, or when the parts
            are not those of one model.
    """
    facts = _Facts(name=source.name, table=_read_set((source, *parts)))
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


def _read_set(sources: Sequence[Source]) -> Table:
    """Read the keys of the first file, and the tensors of all: the other ones repeat no key."""
    keys: dict[str, Scalar | Items | None] = {}
    tensors: dict[str, Tensor] = {}
    for part, source in enumerate(sources):
        table = read_table(source)
        for key, number, expected in (
            ("split.no", table.keys.get("split.no", 0), part),
            # gguf-split writes 0 into a model that it merged.
            ("split.count", table.keys.get("split.count") or 1, len(sources)),
        ):
            if number != expected:
                raise GgufError(
                    f"{source.name}: {key} is {_shown(number)}; expected {expected}: this is file "
                    f"{part + 1} of {len(sources)} with names of one split model"
                )
        if twice := tensors.keys() & table.tensors.keys():
            raise GgufError(f"{source.name} has the tensor {min(twice)!r}, as another part has")
        tensors |= table.tensors
        keys = keys or table.keys
    total = keys.get("split.tensors.count", len(tensors))
    if total != len(tensors):
        raise GgufError(
            f"{sources[0].name}: split.tensors.count is {_shown(total)}; expected "
            f"{len(tensors)}, the tensors of its {len(sources)} files"
        )
    return Table(keys=keys, tensors=tensors)


def _weights(facts: _Facts) -> WeightsHeader:
    architecture = facts.word("general.architecture")
    if architecture == "clip":
        raise GgufError(
            f"{facts.name} is a projector (architecture clip); expected a language model. Name it "
            "as projector_file"
        )

    def number(key: str, default: int = 0) -> int:
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
        deepstack_layers=number("n_deepstack_layers"),
        output_tied="output.weight" not in facts.table.tensors,
        tensor_bytes=facts.tensor_bytes,
        token_embedding_bytes=facts.size_of("token_embd.weight"),
        tensor_types=facts.tensor_types,
        parts=facts.number("split.count", 1) or 1,
    )


def _vocabulary(facts: _Facts, key: str) -> int:
    tokens = facts.table.keys.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, Items) else facts.number(key)


def _projector(facts: _Facts) -> ProjectorHeader:
    architecture = facts.word("general.architecture")
    if architecture != "clip":
        raise GgufError(
            f"{facts.name} is a model of architecture {architecture}; expected a projector. Name "
            "it as file"
        )
    # As llama.cpp: a file of several towers has a type for each.
    names = ("clip.projector_type", f"{_VISION}.projector_type", "clip.audio.projector_type")
    kind = facts.word(next((name for name in names if name in facts.table.keys), names[0]))
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
        tensor_types=facts.tensor_types,
    )


def _output_width(facts: _Facts) -> int:
    """Read the output width; MiniCPM's converter writes 0, then the resampler's tensor has it."""
    last = facts.table.tensors.get("resampler.proj.weight")
    width = facts.number(f"{_VISION}.projection_dim")
    return width or (last.dimensions[0] if last and last.dimensions else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Typed access to a table."""

    name: str
    table: Table

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.table.tensors.values())

    @property
    def tensor_types(self) -> tuple[str, ...]:
        bytes_of: Counter[str] = Counter()
        for tensor in self.table.tensors.values():
            bytes_of[tensor.type] += tensor.size_bytes
        return tuple(sorted(bytes_of, key=lambda name: (-bytes_of[name], name)))

    def size_of(self, tensor: str) -> int:
        return self.table.tensors[tensor].size_bytes if tensor in self.table.tensors else 0

    def word(self, key: str) -> str:
        value = self.table.keys.get(key)
        if not isinstance(value, str) or not WORD.fullmatch(value):
            raise self._wrong(key, "a word")
        return value

    def number(self, key: str, default: int = 0) -> int:
        """Read a whole number, or the largest of a list with one for each layer."""
        value = self.table.keys.get(key, default)
        if isinstance(value, Items):
            whole = [item for item in value.values if type(item) is int]
            value = max(whole) if whole and len(whole) == value.count else None
        if type(value) is not int:
            raise self._wrong(key, "a whole number, or one for each layer")
        return value

    def _wrong(self, key: str, expected: str) -> GgufError:
        if key not in self.table.keys:
            return GgufError(f"{self.name} has no key {key}")
        shown = _shown(self.table.keys[key])
        return GgufError(f"{self.name}: {key} is {shown}; expected {expected}")


def _shown(value: object) -> str:
    return repr(value)[:80]
