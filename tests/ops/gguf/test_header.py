"""Reading a GGUF file's header, also from malformed and hostile files."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from llama_swap_config.lock.header import ProjectorHeader, WeightsHeader
from llama_swap_config.lock.locked import Role
from ops.gguf import tiny_models
from ops.gguf.header import read_file_header, read_header
from ops.gguf.table import MAX_HEADER_BYTES, GgufError, read_table
from tests.ops.gguf.bytes_source import Bytes

ROLES: tuple[Role, ...] = ("model", "mmproj")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_models.write_weights(folder / "model", "a")
    tiny_models.write_projector(folder / "mmproj", "a")
    return {name: (folder / name).read_bytes() for name in ROLES}


def refusal(content: bytes, role: Role = "model") -> str:
    with pytest.raises(GgufError) as caught:
        read_header(Bytes(content=content), role)
    text = str(caught.value)
    assert text.startswith("x.gguf ") or text.startswith("x.gguf: ")
    assert "\n" not in text
    assert len(text) < 300
    return text


def test_the_header_of_tiny_weights(tiny: dict[str, bytes]) -> None:
    assert read_header(Bytes(content=tiny["model"]), "model") == WeightsHeader(
        architecture="qwen3vl",
        layers=2,
        width=64,
        feed_forward=128,
        heads=4,
        kv_heads=2,
        key_size=16,
        value_size=16,
        vocabulary=344,
        train_context=4096,
        deepstack_layers=0,
        output_tied=False,
        tensor_bytes=472576,
        token_embedding_bytes=344 * 64 * 4,
        tensor_types=("F32",),
    )


def test_the_header_of_a_tiny_projector(tiny: dict[str, bytes]) -> None:
    assert read_header(Bytes(content=tiny["mmproj"]), "mmproj") == ProjectorHeader(
        projector_type="qwen3vl_merger",
        output_width=64,
        layers=2,
        width=32,
        feed_forward=64,
        heads=2,
        image_px=256,
        patch_px=16,
        merge=2,
        deepstack_layers=0,
        tensor_bytes=397184,
        tensor_types=("F32",),
    )


@pytest.mark.parametrize("role", ROLES)
def test_the_tensors_equal_those_of_the_gguf_package(
    tiny: dict[str, bytes], role: Role, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny[role])
    reader = gguf.GGUFReader(path)
    found = read_table(Bytes(content=tiny[role])).tensors
    assert {name: tensor.size_bytes for name, tensor in found.items()} == {
        tensor.name: tensor.n_bytes for tensor in reader.tensors
    }
    assert read_file_header(path, role).tensor_bytes == sum(t.n_bytes for t in reader.tensors)


def test_a_file_of_the_other_role_is_refused(tiny: dict[str, bytes]) -> None:
    assert "is a projector" in refusal(tiny["mmproj"], "model")
    assert "architecture qwen3vl; expected a projector" in refusal(tiny["model"], "mmproj")


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(GgufError, match=r"gone cannot be read \(No such file"):
        read_file_header(tmp_path / "gone", "model")


Write = Callable[[gguf.GGUFWriter], None]


def written(tmp_path: Path, architecture: str, write: Write) -> bytes:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    write(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(100)
    writer.add_embedding_length(64)
    writer.add_block_count(3)
    writer.add_feed_forward_length(128)
    writer.add_head_count(8)


def test_missing_keys_have_llama_cpps_defaults(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_shape(writer)
        writer.add_vocab_size(7)
        writer.add_tensor("token_embd.weight", np.zeros((7, 64), np.float16))

    header = read_header(Bytes(content=written(tmp_path, "llama", write)), "model")
    assert isinstance(header, WeightsHeader)
    assert (header.kv_heads, header.key_size, header.value_size) == (8, 8, 8)
    assert (header.vocabulary, header.deepstack_layers, header.output_tied) == (7, 0, True)
    assert header.tensor_bytes == header.token_embedding_bytes == 7 * 64 * 2


def test_a_number_that_differs_by_layer_is_the_largest(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_shape(writer)
        writer.add_head_count_kv([2, 0, 4])
        writer.add_tensor("token_embd.weight", np.zeros((7, 64), np.float32))

    header = read_header(Bytes(content=written(tmp_path, "lfm2", write)), "model")
    assert isinstance(header, WeightsHeader)
    assert (header.kv_heads, header.heads) == (4, 8)


def test_missing_numbers_are_zero_for_any_architecture(tmp_path: Path) -> None:
    def weights(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor("output.weight", np.zeros((7, 64), np.float32))

    def projector(writer: gguf.GGUFWriter) -> None:
        writer.add_clip_projector_type("new-type.2")
        writer.add_tensor("v.patch_embd.weight", np.zeros((4, 4), np.float32))

    header = read_header(Bytes(content=written(tmp_path, "rwkv7-new", weights)), "model")
    assert header == WeightsHeader(
        architecture="rwkv7-new",
        output_tied=False,
        tensor_bytes=7 * 64 * 4,
        tensor_types=("F32",),
        **dict.fromkeys(
            (
                "layers", "width", "feed_forward", "heads", "kv_heads", "key_size", "value_size",
                "vocabulary", "train_context", "deepstack_layers", "token_embedding_bytes",
            ),
            0,
        ),
    )  # fmt: skip
    tower = read_header(Bytes(content=written(tmp_path, "clip", projector)), "mmproj")
    assert isinstance(tower, ProjectorHeader)
    assert (tower.projector_type, tower.width, tower.merge) == ("new-type.2", 0, 1)


@pytest.mark.parametrize("value", [[1.5, 2.5], ["8"], []], ids=["floats", "texts", "nothing"])
def test_a_number_of_another_kind_is_refused(value: list[object], tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_block_count(2)
        if value:
            writer.add_array("llama.attention.head_count", value)
        else:
            writer.add_string("llama.attention.head_count", "x" * 2000)
        writer.add_tensor("token_embd.weight", np.zeros((7, 64), np.float32))

    text = refusal(written(tmp_path, "llama", write))
    assert "llama.attention.head_count is " in text
    assert "expected a whole number, or one for each layer" in text


def test_the_types_of_tensors_are_ordered_by_their_bytes(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_shape(writer)
        for name, kind, blocks in (
            ("token_embd.weight", "Q6_K", 210),
            ("blk.0.ffn_up.weight", "Q4_K", 3 * 144),
            ("blk.0.ffn_down.weight", "NVFP4", 36),
            ("blk.1.ffn_down.weight", "IQ1_M", 56),
        ):
            rows = np.zeros((1, blocks), np.uint8)
            writer.add_tensor(name, rows, raw_dtype=gguf.GGMLQuantizationType[kind])
        writer.add_tensor("output_norm.weight", np.zeros(64, np.float32))

    header = read_header(Bytes(content=written(tmp_path, "llama", write)), "model")
    assert header.tensor_types == ("Q4_K", "F32", "Q6_K", "IQ1_M", "NVFP4")


def test_a_type_that_the_package_does_not_know_is_sized() -> None:
    table = read_table(Bytes(content=tensor((128,), kind=42) + bytes(200)))
    assert (table.tensors["t"].type, table.tensors["t"].size_bytes) == ("Q2_0", 36)


def test_the_size_of_quantised_tensors_is_counted_in_blocks(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_shape(writer)
        writer.add_vocab_size(2)
        for name, kind, block_bytes in (
            ("token_embd.weight", gguf.GGMLQuantizationType.Q6_K, 210),
            ("output.weight", gguf.GGMLQuantizationType.Q4_K, 144),
        ):
            rows = np.zeros((2, block_bytes), np.uint8)
            writer.add_tensor(name, rows, raw_dtype=kind)

    header = read_header(Bytes(content=written(tmp_path, "llama", write)), "model")
    assert isinstance(header, WeightsHeader)
    assert not header.output_tied
    assert header.token_embedding_bytes == 2 * 210
    assert header.tensor_bytes == 2 * 210 + 2 * 144


def add_tower(writer: gguf.GGUFWriter) -> None:
    writer.add_vision_image_size(448)
    writer.add_vision_patch_size(14)
    writer.add_vision_embedding_length(32)
    writer.add_vision_feed_forward_length(64)
    writer.add_vision_block_count(3)
    writer.add_vision_head_count(2)


def test_minicpms_output_width_comes_from_the_resampler(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_tower(writer)
        writer.add_clip_projector_type("resampler")
        writer.add_vision_projection_dim(0)
        writer.add_tensor("resampler.proj.weight", np.zeros((96, 96), np.float16))

    header = read_header(Bytes(content=written(tmp_path, "clip", write)), "mmproj")
    assert isinstance(header, ProjectorHeader)
    assert (header.projector_type, header.output_width) == ("resampler", 96)
    assert (header.merge, header.deepstack_layers) == (1, 0)


def test_deepstack_layers_and_a_type_under_clip_vision(tmp_path: Path) -> None:
    def write(writer: gguf.GGUFWriter) -> None:
        add_tower(writer)
        writer.add_string("clip.vision.projector_type", "qwen3vl_merger")
        writer.add_vision_projection_dim(64)
        writer.add_vision_is_deepstack_layers([False, True, True])
        writer.add_tensor("v.patch_embd.weight", np.zeros((4, 4), np.float32))

    header = read_header(Bytes(content=written(tmp_path, "clip", write)), "mmproj")
    assert isinstance(header, ProjectorHeader)
    assert (header.merge, header.deepstack_layers, header.output_width) == (2, 2, 64)


def test_a_projector_without_a_type_is_refused(tiny: dict[str, bytes]) -> None:
    content = tiny["mmproj"].replace(b"clip.projector_type", b"clip.projector_typ_")
    assert "has no key clip.projector_type" in refusal(content, "mmproj")


def preamble(version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def key(kind: int, value: bytes, name: str = "k") -> bytes:
    return preamble(keys=1) + text(name) + struct.pack("<I", kind) + value


def tensor(dimensions: tuple[int, ...], kind: int = 0, count: int | None = None) -> bytes:
    content = struct.pack("<I", len(dimensions) if count is None else count)
    content += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", kind, 0)
    return preamble(tensors=1) + text("t") + content


HUGE = struct.pack("<Q", 2**63)
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is truncated: its header continues after its 0 bytes"),
    "web page": (b"<!DOCTYPE html><html>", "is a web page; expected a GGUF file"),
    "LFS pointer": (b"version https://git-lfs", "is a file that starts with b'vers'"),
    "cut in the preamble": (preamble()[:10], "is truncated"),
    "version 1": (preamble(version=1), "has GGUF version 1; expected 2 or 3"),
    "version 4": (preamble(version=4), "has GGUF version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is a big-endian GGUF file"),
    "many keys": (preamble(keys=2**60), f"has {2**60} keys; expected at most 4096"),
    "many tensors": (preamble(tensors=2**60), "tensors; expected at most 65536"),
    "cut between keys": (preamble(keys=2) + key(4, b"\0" * 4)[24:], "is truncated"),
    "long key name": (preamble(keys=1) + HUGE, f"has {2**63} bytes for a key's name"),
    "key name of no text": (preamble(keys=1) + b"\1" + bytes(7) + b"\xff", "a key's name that is"),
    "unknown value type": (key(13, b""), "has a value of unknown type 13 at 'k'"),
    "long string": (key(8, HUGE), f"has {2**63} items at 'k', but 0 bytes are left"),
    "long array": (key(9, struct.pack("<I", 4) + HUGE), f"has {2**63} items at 'k'"),
    "long array of strings": (key(9, struct.pack("<I", 8) + HUGE), f"has {2**63} items"),
    "long array of arrays": (key(9, struct.pack("<I", 9) + HUGE), f"has {2**63} items"),
    "long string in an array": (key(9, struct.pack("<IQ", 8, 1) + HUGE), f"has {2**63}"),
    "deep arrays": (key(9, struct.pack("<IQ", 9, 1) * 9), "nests arrays deeper than 4 at 'k'"),
    "array of an unknown type": (
        key(9, struct.pack("<IQ", 99, 1) + bytes(12)),
        "has a value of unknown type 99",
    ),
    "five dimensions": (tensor((1,), count=5), "has tensor 't' with 5 dimensions"),
    "no elements": (tensor((0, 4)), "has tensor 't' with the dimensions (0, 4)"),
    "elements without end": (tensor((2**40, 2**40)), "has tensor 't' with the dimensions"),
    "unknown tensor type": (tensor((32,), kind=77), "has tensor 't' of unknown type 77"),
    "half a block": (tensor((33,), kind=2), "rows that are not a multiple of 32"),
    "tensors past the end": (
        tensor((32,)),
        "is truncated: its tensors end at byte 192, the file at 57",
    ),
    "list for an alignment": (
        key(9, struct.pack("<IQ", 2, 1024) + bytes(2048), "general.alignment"),
        "has a general.alignment of Items(count=1024, values=(0, 0,",
    ),
    "name of control characters": (key(13, b"", "\1" * 256), "of unknown type 13 at '\\x01"),
    "nothing in it": (preamble(), "has no key general.architecture"),
    "number for a name": (
        key(4, bytes(4), "general.architecture"),
        "general.architecture is 0; expected a word",
    ),
    "strange architecture": (key(8, text("a\nb"), "general.architecture"), "is 'a\\nb'"),
    "architecture alone": (
        key(8, text("llama"), "general.architecture"),
        "tensor_bytes is 0; expected 1",
    ),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_in_one_line(content: bytes, message: str) -> None:
    assert message in refusal(content)


def test_a_repeated_key_or_tensor_is_refused() -> None:
    one_key = key(4, bytes(4))[24:]
    assert "has the key 'k' twice" in refusal(preamble(keys=2) + one_key * 2)
    one_tensor = tensor((1,))[24:]
    assert "has the tensor 't' twice" in refusal(preamble(tensors=2) + one_tensor * 2)


def test_a_truncated_file_is_refused(tiny: dict[str, bytes]) -> None:
    for role in ROLES:
        length = len(tiny[role]) - 1
        while length > 0:
            assert refusal(tiny[role][:length], role)
            length = length * 9 // 10


def test_a_short_read_is_refused(tiny: dict[str, bytes]) -> None:
    source = Bytes(content=tiny["model"][:1000], size=len(tiny["model"]))
    with pytest.raises(GgufError, match="is truncated: got 1000 bytes"):
        read_header(source, "model")


def test_the_weights_are_not_read(tiny: dict[str, bytes]) -> None:
    source = Bytes(content=tiny["model"] + bytes(5 * 2**20))
    read_header(source, "model")
    assert source.asked == [2**20]


def test_a_long_header_is_read_in_growing_pieces_up_to_a_bound() -> None:
    many = 100 * 2**20
    source = Bytes(content=key(9, struct.pack("<IQ", 0, many)) + bytes(many))
    with pytest.raises(GgufError, match="has a header of more than 64 MiB"):
        read_header(source, "model")
    assert sum(source.asked) == 2**20
    parts = b"".join(
        text(f"k{n}") + struct.pack("<IIQ", 9, 0, 2**20) + bytes(2**20) for n in range(99)
    )
    source = Bytes(content=preamble(keys=99) + parts)
    with pytest.raises(GgufError, match="has a header of more than 64 MiB"):
        read_header(source, "model")
    assert sum(source.asked) <= MAX_HEADER_BYTES
    assert len(source.asked) <= 8


def test_random_bytes_after_a_preamble_raise_only_gguf_errors() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        content = preamble(tensors=chance.randrange(5), keys=chance.randrange(5))
        content += chance.randbytes(chance.randrange(200))
        assert refusal(content)
