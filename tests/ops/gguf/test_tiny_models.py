"""The tiny models are reproducible and fit together."""

from __future__ import annotations

from pathlib import Path

import gguf

from ops.gguf.tiny_models import write_projector, write_weights


def test_the_name_is_the_seed(tmp_path: Path) -> None:
    for write in (write_weights, write_projector):
        for file, name in (("first", "a"), ("again", "a"), ("other", "b")):
            write(tmp_path / file, name)
        contents = [(tmp_path / file).read_bytes() for file in ("first", "again", "other")]
        assert contents[0] == contents[1]
        assert contents[0] != contents[2]
        assert len(contents[0]) < 500_000


def test_the_projector_has_the_models_width(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a")
    write_projector(tmp_path / "mmproj", "a")
    model = gguf.GGUFReader(tmp_path / "model")
    projector = gguf.GGUFReader(tmp_path / "mmproj")
    width = model.fields["qwen3vl.embedding_length"].contents()
    assert projector.fields["clip.vision.projection_dim"].contents() == width


def test_a_text_model_has_architecture_qwen3(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a", vision=False)
    architecture = gguf.GGUFReader(tmp_path / "model").fields["general.architecture"]
    assert architecture.contents() == "qwen3"


def test_no_temporary_file_remains(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
