"""Compare the models and files of two registries."""

from __future__ import annotations

from typing import Any

from ops.commands.plan.models import file_changes, model_changes


def split(*sha256: str) -> dict[str, Any]:
    files = [
        {
            "role": "model",
            "repository": "owner/name",
            "revision": "main",
            "name": f"m-{part:05}-of-{len(sha256):05}.gguf",
            "quantisation": "Q4_K_M",
            "size_bytes": 100,
            "sha256": digest,
        }
        for part, digest in enumerate(sha256, start=1)
    ]
    return {"fields": {"id": "m"}, "files": files}


def test_each_part_of_a_split_model_is_a_file_of_its_own() -> None:
    before, after = (split("a", "b", "c"),), (split("a", "x", "c"),)
    (change,) = model_changes(before, after)
    assert [(field.name, field.before, field.after) for field in change.fields] == [
        ("model part 2.sha256", "b", "x")
    ]
    assert change.size_bytes == 300
    files = file_changes(before, after)
    assert [file.sha256 for file in files.download] == ["x"]
    assert [file.sha256 for file in files.free] == ["b"]


def test_a_tree_before_there_were_cards_has_its_models_on_the_first() -> None:
    older, newer = split("a"), split("a")
    newer["fields"] |= {"cards": [0], "tensor_split": []}
    assert model_changes((older,), (newer,)) == ()
    newer["fields"]["cards"] = [1]
    (change,) = model_changes((older,), (newer,))
    assert [(it.name, it.before, it.after) for it in change.fields] == [("cards", [0], [1])]
