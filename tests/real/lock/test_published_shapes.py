"""`ops lock` of published vision models, whose headers alone are at a hub on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.vram.cases import Case, vision_case
from benchmarks.vram.engine import reserved
from benchmarks.vram.shapes.published import PUBLISHED
from benchmarks.vram.shapes.shape import Published
from in_pod.download.contract import LINK_NAMES
from llama_swap_config import registry
from llama_swap_config.fit.vram import resident
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import lock_model
from ops.hub.local_hub import HubFile, HubHandler
from ops.machine.llama_build import BUILD, built
from stacks import production
from tests.ops.commands.lock.lock_runs import Files, lock, only_the_registry, running

LARGER_THAN_MEMORY = "llama-4-scout"


def chosen() -> tuple[Published, ...]:
    """The smallest model of each architecture and of each type of projector."""
    by_size = sorted(
        (each for each in PUBLISHED if each.name != LARGER_THAN_MEMORY),
        key=lambda each: len(each.text.tensors),
    )
    seen: set[object] = set()
    found = []
    for each in by_size:
        kinds = {each.text.architecture, each.tower.keys["projector_type"]}
        if not kinds <= seen:
            found.append(each)
            seen |= kinds
    return tuple(found)


def at_the_hub(cases: tuple[Case, ...], folder: Path) -> Files:
    files: Files = {}
    for number, case in enumerate(cases):
        of_case = folder / case.model.id
        of_case.mkdir()
        case.write(of_case)
        names = (f"{case.model.id}-Q4_K_M.gguf", "mmproj-F16.gguf")
        for role, (link, name) in enumerate(zip(LINK_NAMES.values(), names, strict=True)):
            # Gigabytes of holes are not hashed: nobody downloads them here.
            sha256 = f"{2 * number + role:064x}"
            files[case.model.repository, name] = HubFile(path=of_case / link, sha256=sha256)
    return files


def test_the_lock_has_what_the_engine_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = tuple(
        replace(case, model=replace(case.model, repository=f"owner/{case.model.id}"))
        for case in (vision_case(each, context=3072) for each in chosen())
    )
    assert len({case.text.architecture for case in cases}) >= 10
    assert len({case.tower.keys["projector_type"] for case in cases if case.tower}) >= 8
    only_the_registry(monkeypatch, tmp_path / "headers")
    monkeypatch.setattr(registry, "REGISTRY", tuple(case.model for case in cases))
    settings = replace(production.PRODUCTION, engine_build=BUILD)
    monkeypatch.setattr(production, "PRODUCTION", settings)
    path = tmp_path / "models.lock.json"
    with running(at_the_hub(cases, tmp_path), HubHandler, monkeypatch):
        assert lock(path) == 0
    found = read_lock(path)
    for case in cases:
        vram = resident(lock_model(case.model, found[case.model.id]), settings.node.machine)
        engine = reserved(built(print), case.model, tmp_path / case.model.id, stage="promised")
        assert vram.source == "engine"
        for term in ("weights", "kv_cache", "compute", "projector", "vision_compute"):
            said, reserves = getattr(vram, term), getattr(engine, term)
            assert said == pytest.approx(reserves, abs=0.011), (case.model.id, term)
