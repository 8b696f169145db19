"""Any answer of the hub is a valid entry of the lock or one line.

A failure names its seed. `FUZZ_MINUTES=10 pytest -n0 -s` runs the test so long.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from llama_swap_config.lock.file import read_lock, write_lock
from llama_swap_config.lock.locked import LockEntry
from ops.commands.lock.resolve import resolve
from ops.errors import OpsError
from ops.hub.local_hub import HubFile
from tests.fakes.seeds import seeds
from tests.fakes.spoiled import check_one_line
from tests.fakes.spoiled_gguf import GgufPieces
from tests.fakes.spoiling_hub import SpoilingHub
from tests.in_pod.download.ways import forget_environment
from tests.ops.commands.lock.lock_runs import VISION, make_files

WEIGHTS = (VISION.repository, "Seeing-Q4_K_M.gguf")


def test_any_answer_of_the_hub_is_an_entry_or_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_environment(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    files = make_files(tmp_path)
    right = files[WEIGHTS]
    pieces = GgufPieces(right.path)
    damaged, path = tmp_path / "damaged.gguf", tmp_path / "models.lock.json"
    outcomes = {"read": 0, "refused": 0}
    with SpoilingHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr("ops.engine.headers.headers_dir", lambda: Path("/dev/null"))
        for seed in seeds(200):
            chance = random.Random(seed)
            hub.start(seed)
            hub.files[WEIGHTS] = right
            if chance.random() < 0.2:
                damaged.write_bytes(pieces.spoiled(chance))
                hub.files[WEIGHTS] = HubFile.of(damaged)
            lines: list[str] = []
            try:
                revision = chance.choice(("main", "1" * 40))
                found = resolve(VISION, partial(_same, revision), say=lines.append)
                lock = {VISION.id: LockEntry(files=found)}
                write_lock(path, lock)
                assert read_lock(path) == lock, seed
                outcomes["read"] += 1
            except OpsError as error:
                check_one_line(error, seed)
                lines.append(str(error))
                outcomes["refused"] += 1
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
            assert all(map(str.isprintable, lines)), seed
            assert "hf_secret" not in str(lines), seed
            for request in hub.requests:
                with_token = "hf_secret" in str(request)
                assert not with_token or request["Host"].startswith("127.0.0.1"), seed
    assert min(outcomes.values()) > 20, outcomes


def _same(revision: str, _repository: str) -> str:
    return revision
