"""Any header is a shape or one line, in bounded memory, from a whole file and in parts.

A failure names its seed. `FUZZ_MINUTES=10 pytest -n0 -s` runs each test so long.
"""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from llama_swap_config.lock.locked import Role
from ops.gguf import tiny_models
from ops.gguf.header import read_header
from ops.gguf.table import MAX_HEADER_BYTES, FileSource, GgufError, Source
from tests.fakes.seeds import seeds
from tests.fakes.spoiled import check_one_line, spoiled_bytes
from tests.fakes.spoiled_gguf import GgufPieces
from tests.ops.gguf.bytes_source import Bytes

ROLES: tuple[Role, ...] = ("model", "mmproj")
HEADER_BYTES = 20_000


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_models.write_weights(folder / "model", "a")
    tiny_models.write_projector(folder / "mmproj", "a")
    return {role: folder / role for role in ROLES}


def test_any_header_is_a_shape_or_one_line(tiny: dict[Role, Path], tmp_path: Path) -> None:
    pieces = {role: GgufPieces(path) for role, path in tiny.items()}
    path = tmp_path / "x.gguf"
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds(400):
        chance = random.Random(seed)
        role = chance.choice(ROLES)
        content = spoiled(pieces[role], chance)
        path.write_bytes(content)
        said_size = len(content) + chance.choice((*[0] * 9, 1, 2**40))
        parts = Bytes(content=content, size=said_size)
        tracemalloc.start()
        try:
            whole = outcome(FileSource(path=path), role, seed)
            ranged = outcome(parts, role, seed)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert ranged == whole or said_size > len(content), seed
        assert peak_bytes < 4 * len(content) + 2**20, seed
        assert sum(parts.asked) <= min(said_size, MAX_HEADER_BYTES), seed
        outcomes["refused" if isinstance(whole, str) else "read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def spoiled(pieces: GgufPieces, chance: random.Random) -> bytes:
    if chance.random() < 0.8:
        return pieces.spoiled(chance)
    content = pieces.content
    return spoiled_bytes(content[:HEADER_BYTES], chance) + content[HEADER_BYTES:]


def outcome(source: Source, role: Role, seed: int) -> object:
    """Return the shape, or the error's line."""
    try:
        return read_header(source, role)
    except GgufError as error:
        check_one_line(error, seed)
        line = str(error)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    assert len(line) < 300, seed
    return line
