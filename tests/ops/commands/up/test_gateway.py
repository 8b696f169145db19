"""The keys that `up --gateway` makes, and the consumers that it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config.gateway.consumer import Consumer
from ops.commands.gateway.keys import rotation
from ops.commands.gateway.keys.directory import KeysDirectory
from ops.commands.up.gateway import ServedGateway, keys_dir, make_keys
from ops.errors import OpsError, RefusedError
from tests.declaration.consumers import CONSUMERS

POSTER, ASSISTANT, N8N = CONSUMERS


def test_keys_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    files = make_keys(CONSUMERS, tmp_path)
    before = {name: file.read_text() for name, file in files.items()}
    assert len({*before.values()}) == len(CONSUMERS)
    assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}
    assert make_keys(CONSUMERS, tmp_path) == files
    assert {name: file.read_text() for name, file in files.items()} == before


def test_a_retired_key_is_replaced(tmp_path: Path) -> None:
    file = make_keys((POSTER,), tmp_path)[POSTER.name]
    before = file.read_text()
    rotation.make(KeysDirectory(keys_dir(tmp_path)), POSTER.name)
    make_keys((POSTER,), tmp_path)
    assert file.read_text() == before
    rotation.retire(KeysDirectory(keys_dir(tmp_path)), POSTER.name)
    make_keys((POSTER,), tmp_path)
    assert file.read_text() != before


def test_a_lost_key_beside_two_valid_ones_names_the_command(tmp_path: Path) -> None:
    file = make_keys((POSTER,), tmp_path)[POSTER.name]
    rotation.make(KeysDirectory(keys_dir(tmp_path)), POSTER.name)
    file.unlink()
    with pytest.raises(RefusedError, match=r"keys retire photo-poster --dir .*/gateway/keys"):
        make_keys((POSTER,), tmp_path)


@pytest.mark.parametrize("entry", ["sha256:12", "sk-a-key-itself"])
def test_a_broken_entry_names_the_directory_and_the_command(tmp_path: Path, entry: str) -> None:
    make_keys((POSTER,), tmp_path)
    (keys_dir(tmp_path) / POSTER.name).write_text(entry)
    with pytest.raises(
        OpsError, match=r"gateway/keys: line 1 .*retire photo-poster --all"
    ) as told:
        make_keys((POSTER,), tmp_path)
    assert entry not in str(told.value)


@pytest.mark.parametrize("folder", ["keys", "gateway/keys"])
def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path, folder: str) -> None:
    make_keys((POSTER,), tmp_path)
    (tmp_path / folder).chmod(0o755)
    with pytest.raises(OpsError, match=f"{folder} has mode 755; expected 700"):
        make_keys((POSTER,), tmp_path)


@pytest.mark.parametrize(
    ("consumers", "shown"),
    [
        (CONSUMERS, [(POSTER.name, "qwen3vl-8b"), (N8N.name, "qwen3vl-8b")]),
        ((POSTER, ASSISTANT), [(POSTER.name, "qwen3vl-8b"), (ASSISTANT.name, "qwen3vl-4b")]),
        ((ASSISTANT,), [(ASSISTANT.name, "qwen3vl-4b")]),
        (
            (replace(POSTER, models=("minicpm-v-4-5",)), ASSISTANT, N8N),
            [(ASSISTANT.name, "qwen3vl-4b"), (N8N.name, "qwen3vl-4b")],
        ),
    ],
    ids=["share the first", "share nothing", "only one", "share the last"],
)
def test_the_shown_consumers_do_not_refuse_each_other(
    consumers: tuple[Consumer, ...], shown: list[tuple[str, str]]
) -> None:
    gateway = ServedGateway(url="http://127.0.0.1:1", consumers=consumers, key_files={})
    assert [(consumer.name, model) for consumer, model in gateway.examples()] == shown
