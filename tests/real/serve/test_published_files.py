"""A split model with a foreign projector goes the whole way, from the hub to an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llama_swap_config import consumers, registry
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.cli import main
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore, fill_from_hub
from ops.commands.serve.run import Served
from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile, LocalHub
from tests.real.serve.picture_answer import picture_answer
from tests.real.serve.served import skip_without

FOLDER = "My Tune+ é"
SPLIT = Model(
    id="split",
    repository="owner/Tune-GGUF",
    quantisation="UD-Q4_K_XL",
    file=f"{FOLDER}/Tune 模型-00001-of-00003.gguf",
    projector_repository="maker/Original-GGUF",
    projector_file="vision/Original-vision (F16).gguf",
)
LINKS = [
    "mmproj.gguf",
    "model-00001-of-00003.gguf",
    "model-00002-of-00003.gguf",
    "model-00003-of-00003.gguf",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """The model on a volume, locked at and downloaded from a hub on this machine."""
    folder = tmp_path_factory.mktemp("published")
    weights = folder / "hub" / FOLDER
    weights.mkdir(parents=True)
    tiny_models.write_weights(weights / "Tune 模型.gguf", "split", tensors_a_part=9)
    projector = folder / "projector.gguf"
    tiny_models.write_projector(projector, "split")
    files = {
        (SPLIT.repository, f"{FOLDER}/{path.name}"): HubFile.of(path) for path in weights.iterdir()
    }
    files[str(SPLIT.projector_repository), str(SPLIT.projector_file)] = HubFile.of(projector)
    lock_path = folder / "models.lock.json"
    with LocalHub(files) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "REGISTRY", (SPLIT,))
        patch.setattr(consumers, "CONSUMERS", ())
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("no_proxy", "127.0.0.1")
        patch.delenv("HF_TOKEN", raising=False)
        assert main(["lock", "--path", str(lock_path)]) == 0
        lines: list[str] = []
        yield fill_from_hub(folder / "models", folder, lock_path=lock_path, say=lines.append)
    assert any("warm: split: " in line for line in lines)


@pytest.fixture(scope="module", params=["llama-server", "llama-swap"])
def served(
    request: pytest.FixtureRequest,
    store: LocalStore,
    llama_server: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    front_end: FrontEndName = request.param
    skip_without(front_end)
    folder = tmp_path_factory.mktemp(front_end)
    try:
        yield serve.start(store, folder, front_end=front_end, port=None, say=print)
    finally:
        serve.stop(folder)


def test_the_volume_has_a_link_for_each_part(store: LocalStore) -> None:
    folder = store.volume / "split"
    assert sorted(path.name for path in folder.iterdir()) == LINKS
    for name, file in store.models[0].links.items():
        assert (folder / name).resolve().name == file.sha256
    assert store.status().is_whole


def test_llama_server_answers_about_a_picture(served: Served) -> None:
    assert picture_answer(served.url, "split").strip()
