"""`ops weights` on a volume that the real program filled from a hub on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.lock.file import read_lock
from llama_swap_config.registry import REGISTRY
from ops.cli import main
from ops.commands.serve import local_store
from ops.commands.serve.local_store import LocalStore
from ops.commands.weights import volume as weights
from ops.errors import OpsError
from ops.hub.local_hub import HubFile, LocalHub
from tests.in_pod.download.planted import inodes, plant


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return local_store.fill_with_tiny_models(tmp_path_factory.mktemp("state"), say=print)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A new store for each test."""
    return local_store.fill_with_tiny_models(tmp_path / "state", say=print)


@pytest.fixture
def hub(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The hub that filled the store."""
    folder = store.lock_path.with_name("hub")
    files = {
        (file.repository, file.name): HubFile.of(folder / file.repository / file.name)
        for entry in read_lock(store.lock_path).values()
        for file in entry.files
    }
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def status(store: LocalStore, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The JSON of `ops weights status`, with a check of the exit code."""
    capsys.readouterr()
    arguments = ("weights", "status", str(store.volume), "--lock", str(store.lock_path))
    code = main([*arguments, "--json", *options])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if found["whole"] else 2)
    return found


def blob(store: LocalStore, name: str) -> Path:
    (sha256,) = {file.sha256 for file in store.status().files if file.name == name}
    return store.volume / "blobs" / sha256


NAME = "Qwen3VL-4B-Instruct-Q4_K_M.gguf"


def state_of(found: dict[str, Any], name: str = NAME) -> tuple[str, str]:
    (file,) = [file for file in found["files"] if file["name"] == name]
    return file["state"], file["reason"]


def test_the_tiny_models_have_the_names_of_registry_and_lock(filled: LocalStore) -> None:
    real = read_lock()
    played = read_lock(filled.lock_path)
    assert played.keys() == real.keys()
    for model, entry in played.items():
        files, others = entry.files, real[model].files
        assert [file.name for file in files] == [file.name for file in others]
        assert {file.sha256 for file in files}.isdisjoint(file.sha256 for file in others)
        assert sum(file.size_bytes for file in files) < 1_000_000


def test_filling_a_complete_store_downloads_nothing(
    filled: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert filled.status().is_whole
    assert {file["state"] for file in status(filled, capsys)["files"]} == {"present"}
    lines: list[str] = []
    local_store.fill_with_tiny_models(filled.lock_path.parent, say=lines.append)
    assert lines[0] == "download: all 6 files of 3 models are complete"


def test_status_of_an_empty_volume(
    filled: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = weights.status(weights.plan_of(filled.lock_path), tmp_path)
    assert {file.state for file in found.files} == {"missing"}
    assert found.missing_bytes == sum(file.size_bytes for file in found.files)
    assert [(model.id, model.reason) for model in found.models] == [
        (name, "not published") for name in sorted(model.id for model in REGISTRY)
    ]
    assert main(["weights", "status", str(tmp_path)]) == 2
    assert "14.57 GiB to download" in capsys.readouterr().out


def test_status_of_a_truncated_file_is_wrong(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = blob(store, NAME)
    path.chmod(0o644)
    os.truncate(path, 1000)
    assert state_of(status(store, capsys)) == ("wrong", "its size is 1000 bytes")


def test_only_sha256_and_verify_find_a_flipped_byte(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = blob(store, NAME)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert state_of(status(store, capsys)) == ("present", "")
    state, reason = state_of(status(store, capsys, "--sha256"))
    assert state == "wrong"
    assert reason.startswith("its sha256 is ")
    assert main(["weights", "verify", str(store.volume)]) == 1
    assert "1 wrong files" in capsys.readouterr().err


def test_status_shows_the_progress_of_a_partial_file(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    from in_pod.download.transfer import Transfer

    path = blob(store, NAME)
    path.unlink()
    plan = weights.plan_of(store.lock_path)
    (file,) = [file for file in plan.files if file.name == NAME]
    transfer = Transfer(file, store.volume / "blobs")
    transfer.write(0, memoryview(bytes(file.size_bytes // 4)))
    transfer.close()
    found = status(store, capsys)
    assert state_of(found) == ("partial", "")
    assert found["missing_bytes"] == file.size_bytes - file.size_bytes // 4
    (model,) = [model for model in found["models"] if not model["published"]]
    assert model["reason"] == "its link leads to a missing file"
    main(["weights", "status", str(store.volume), "--lock", str(store.lock_path)])
    assert "partial, 25.0 %" in capsys.readouterr().out


@pytest.fixture
def earlier_file(store: LocalStore) -> Path:
    """The model's file as another Job leaves it: in a folder of the model's name."""
    folder = store.volume / "qwen3vl-4b"
    folder.unlink()
    folder.mkdir()
    return blob(store, NAME).rename(folder / NAME)


def test_status_names_a_file_that_a_pull_takes_over(
    store: LocalStore,
    earlier_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = status(store, capsys)
    assert state_of(found) == ("to take over", f"'qwen3vl-4b/{NAME}' has its size")
    assert found["missing_bytes"] == 0
    (model,) = [model for model in found["models"] if not model["published"]]
    assert model["reason"] == (
        f"not published; {earlier_file.parent} is not a link, so the next run renames it"
    )
    found = status(store, capsys, "--sha256")
    assert state_of(found) == ("to take over", f"'qwen3vl-4b/{NAME}' has its sha256")
    arguments = (str(store.volume), "--lock", str(store.lock_path))
    main(["weights", "status", *arguments])
    assert f"to take over  '{earlier_file.parent.name}/{NAME}'" in capsys.readouterr().out
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["weights", "pull", *arguments]) == 0
    assert "taken over as blobs/" in capsys.readouterr().out
    assert status(store, capsys, "--sha256")["whole"]


def test_only_sha256_finds_that_a_file_is_not_the_missing_one(
    store: LocalStore, earlier_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier_file.chmod(0o644)
    earlier_file.write_bytes(b"x" * earlier_file.stat().st_size)
    assert state_of(status(store, capsys))[0] == "to take over"
    assert state_of(status(store, capsys, "--sha256")) == ("missing", "")


def test_status_of_a_folder_that_may_not_be_read(
    store: LocalStore,
    earlier_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    access = os.access

    def refuse(path: str | Path, *how: Any, **more: Any) -> bool:
        return Path(path) != earlier_file.parent and access(path, *how, **more)

    monkeypatch.setattr(os, "access", refuse)
    arguments = (str(store.volume), "--lock", str(store.lock_path))
    assert main(["weights", "status", *arguments]) == 1
    assert capsys.readouterr().err.endswith(
        "may not read the models' folders. Run this as the volume's owner, or as root.\n"
    )


def test_status_reports_another_published_version(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(store.lock_path.read_text())
    document["models"]["qwen3vl-4b"]["files"][0]["sha256"] = "0" * 64
    store.lock_path.write_text(json.dumps(document))
    found = status(store, capsys)
    (model,) = [model for model in found["models"] if not model["published"]]
    assert (model["id"], model["reason"]) == (
        "qwen3vl-4b",
        "published with other files than the lock's",
    )
    # The older set is still served, so nothing of it may be pruned.
    assert found["unreferenced"] == []


def test_unused_files_are_listed_and_pruned(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = store.volume / "blobs" / ("1" * 64)
    stray.write_bytes(b"x" * 8192)
    found = status(store, capsys)
    assert found["unreferenced"] == [{"path": f"blobs/{'1' * 64}", "size_bytes": 8192}]
    prune = ["weights", "prune", str(store.volume), "--lock", str(store.lock_path)]
    assert main([*prune, "--dry-run", "--grace-h", "0"]) == 0
    assert "would be removed" in capsys.readouterr().out
    assert stray.exists()
    assert main([*prune, "--grace-h", "0"]) == 0
    assert not stray.exists()
    assert status(store, capsys)["whole"]


def test_foreign_files_are_named_once_and_left_alone(
    store: LocalStore, hub: LocalHub, capsys: pytest.CaptureFixture[str]
) -> None:
    prune = ["prune", "--lock", str(store.lock_path), "--grace-h", "0"]
    assert main(["weights", *prune, str(store.volume)]) == 0
    used = (store.volume / "qwen3vl-4b").resolve()
    places = (store.volume, store.volume / "blobs", used.parent, used, store.volume / ".unneeded")
    planted = plant(*places)
    capsys.readouterr()
    lock = ("--lock", str(store.lock_path))
    for arguments in (["status", *lock], ["verify"], ["pull", *lock], prune):
        assert main(["weights", *arguments, str(store.volume)]) == 0
        output = capsys.readouterr().out
        assert output.count("left alone, as the download program did not write it: ") == 1
        assert "'.DS_Store'" in output
        assert inodes(*planted) == planted
    assert "'@eaDir'" not in status(store, capsys)["left_alone"]
    assert status(store, capsys, "--sha256")["whole"]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_status_of_something_else_in_place_of_a_blob(
    kind: str, store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = blob(store, NAME)
    path.rename(tmp_path / "right")
    if kind == "link":
        path.symlink_to(tmp_path / "right")
    else:
        path.mkdir()
    text = "a symbolic link" if kind == "link" else "a folder"
    assert state_of(status(store, capsys)) == ("wrong", f"it is {text}; move it away")


def test_a_volume_with_a_link_in_place_of_blobs_is_refused(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs = store.volume / "blobs"
    blobs.rename(tmp_path / "outside")
    blobs.symlink_to(tmp_path / "outside")
    for command in ("status", "verify", "prune", "pull"):
        assert main(["weights", command, str(store.volume)]) == 1
        assert capsys.readouterr().err == (
            f"error: {blobs} is a symbolic link; expected a folder. Move it away.\n"
        )


def test_pull_downloads_the_missing_file(
    store: LocalStore, hub: LocalHub, capsys: pytest.CaptureFixture[str]
) -> None:
    blob(store, NAME).unlink()
    pull = ["weights", "pull", str(store.volume), "--lock", str(store.lock_path)]
    assert main(pull) == 0
    output = capsys.readouterr().out
    assert "1 files to download, 0.5 MiB" in output
    assert "all 6 files of 3 models are complete" in output
    assert status(store, capsys, "--sha256")["whole"]


def test_pull_into_a_new_directory(
    store: LocalStore, hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull = ["weights", "pull", str(tmp_path / "new"), "--lock", str(store.lock_path)]
    assert main(pull) == 0
    assert weights.status(weights.plan_of(store.lock_path), tmp_path / "new").is_whole


@pytest.mark.usefixtures("hub")
def test_pull_without_publishing_leaves_the_links(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = tmp_path / "new"
    pull = ["weights", "pull", str(volume), "--lock", str(store.lock_path)]
    assert main([*pull, "--no-publish"]) == 0
    assert "all 6 files of 3 models are complete, not published" in capsys.readouterr().out
    found = weights.status(weights.plan_of(store.lock_path), volume)
    assert {file.state for file in found.files} == {"present"}
    assert not any(model.published for model in found.models)
    assert main(pull) == 0
    assert weights.status(weights.plan_of(store.lock_path), volume).is_whole


@pytest.mark.usefixtures("hub")
def test_pull_shows_a_progress_bar_on_a_terminal(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from rich.console import Console

    from ops.commands.weights import command as weights_cli

    screen = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(weights_cli, "_console", screen)
    blob(store, NAME).unlink()
    assert main(["weights", "pull", str(store.volume), "--lock", str(store.lock_path)]) == 0
    assert isinstance(screen.file, io.StringIO)
    drawn = screen.file.getvalue()
    assert NAME in drawn
    assert "100%" in drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "/nowhere"], "/nowhere is not a directory. Mount the volume there"),
        (["pull", "/proc/models"], "/proc/models: "),
        (["verify", "/nowhere"], "/nowhere is not a directory. Mount the models' volume there."),
        (
            ["verify", "/usr"],
            "/usr is not a mount point and has no blobs/: nothing was downloaded",
        ),
        (["prune", "/proc"], "/proc is mounted and has no blobs/: nothing was downloaded to it"),
        (["status", "/tmp", "--lock", "/nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_errors_have_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", *arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert message in text
    assert text.count("\n") == 1


def test_root_does_not_write_to_another_users_volume(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if store.volume.stat().st_uid == 0:
        os.chown(store.volume, 10001, 10001)
    assert main(["weights", "pull", str(store.volume)]) == 1
    assert "Run this as that user: sudo -u '#" in capsys.readouterr().err


def test_an_invalid_hub_is_an_error_of_one_line(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")
    blob(store, NAME).unlink()
    assert main(["weights", "pull", str(store.volume), "--lock", str(store.lock_path)]) == 1
    assert (
        "HF_ENDPOINT is 'huggingface.co'; expected an http(s) address" in capsys.readouterr().err
    )


def test_a_failing_download_fails_the_filling(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(OpsError, match=r"download ended with exit code 78 .*File exists"):
        local_store.fill_with_tiny_models(tmp_path, say=print)


@pytest.mark.parametrize("command", ["pull", "status", "verify", "prune"])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", command, "--help"]) == 0
    assert "Example:" in capsys.readouterr().out
