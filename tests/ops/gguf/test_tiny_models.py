"""The tiny models: the same bytes from one name, other bytes from another."""

from __future__ import annotations

from pathlib import Path

import gguf

from ops.gguf.tiny_models import write_projector, write_weights


def test_one_name_makes_the_same_bytes_and_another_name_others(tmp_path: Path) -> None:
    for write in (write_weights, write_projector):
        for file, name in (("first", "a"), ("again", "a"), ("other", "b")):
            write(tmp_path / file, name)
        contents = [(tmp_path / file).read_bytes() for file in ("first", "again", "other")]
        assert contents[0] == contents[1]
        assert contents[0] != contents[2]
        assert len(contents[0]) < 500_000


def test_the_projector_is_as_wide_as_the_model_it_goes_with(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a")
    write_projector(tmp_path / "mmproj", "a")
    model = gguf.GGUFReader(tmp_path / "model")
    projector = gguf.GGUFReader(tmp_path / "mmproj")
    width = model.fields["qwen3vl.embedding_length"].contents()
    assert projector.fields["clip.vision.projection_dim"].contents() == width


def test_a_text_model_is_of_an_architecture_that_takes_no_pictures(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a", vision=False)
    architecture = gguf.GGUFReader(tmp_path / "model").fields["general.architecture"]
    assert architecture.contents() == "qwen3"


def test_no_half_file_bears_the_name(tmp_path: Path) -> None:
    write_weights(tmp_path / "model", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
