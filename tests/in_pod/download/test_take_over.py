"""Files that an earlier Job left in the models' folders."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from in_pod.download import folders, take_over
from in_pod.download import pull as pull_module
from in_pod.download.__main__ import main
from in_pod.download.contract import BAD_DATA, BUSY, NO_SPACE, NOT_AS_PLANNED, TRANSIENT
from in_pod.download.errors import DownloadError
from in_pod.download.folders import DEPTH
from in_pod.download.hashing import hash_file
from in_pod.download.hub import Hub
from in_pod.download.lease import Lease
from in_pod.download.plan import read_plan
from in_pod.download.progress import PlainReport
from in_pod.download.pull import pull
from in_pod.download.run import Options
from tests.fakes import hubs
from tests.fakes.forked_program import Program
from tests.in_pod.download import earlier
from tests.in_pod.download.limits import tmpfs
from tests.in_pod.download.process import environment, options, run
from tests.in_pod.download.volume import Source, leftovers

MIB = 1 << 20
MODEL = earlier.NAMES["model.gguf"]
USER = 10001


@pytest.fixture
def folder(source: Source, models: Path) -> Path:
    """The folder of the plan's model, with all its files."""
    return earlier.fill(source, models / "m")


@pytest.fixture
def hub(source: Source) -> Iterator[hubs.Hub]:
    with hubs.Hub(source.files) as hub:
        yield hub


def blobs(models: Path) -> set[str]:
    return {path.name for path in (models / "blobs").iterdir()}


def test_files_of_an_earlier_job_are_not_downloaded(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    for suffix in (".partial", ".journal"):
        path = models / "blobs" / f"{source.sha256('model.gguf')}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
    inodes = {(folder / name).stat().st_ino for name in earlier.NAMES.values()}
    code, output, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert hub.requests == []
    assert source.is_published(models)
    assert [path.name for path in models.iterdir() if path.name not in ("blobs", "sets")] == ["m"]
    assert {path.stat().st_ino for path in (models / "blobs").iterdir()} == inodes
    assert {path.stat().st_mode & 0o777 for path in (models / "blobs").iterdir()} == {0o444}
    assert leftovers(models) == []
    for name in earlier.NAMES.values():
        assert f"'m/{name}': taken over as blobs/" in output


def test_the_old_setup_serves_until_the_publication(
    source: Source, models: Path, folder: Path, hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    lines: list[str] = []

    def download(*, publishing: bool) -> None:
        pull(
            read_plan(source.plan_path),
            models,
            Hub(),
            publishing=publishing,
            options=Options(),
            report=PlainReport(lines.append),
            say=lines.append,
        )

    with (folder / MODEL).open("rb") as loaded:
        download(publishing=False)
        assert loaded.read() == (folder / MODEL).read_bytes()
    assert not folder.is_symlink()
    assert not (folder / MODEL).readlink().is_absolute()
    assert earlier.serves(source, folder)
    assert lines[-1] == "all 2 files of 1 models are complete, not published"
    download(publishing=True)
    assert source.is_published(models)
    assert hub.requests == []


def test_wrong_files_are_named_downloaded_and_kept(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    with (folder / MODEL).open("r+b") as content:
        content.write(b"wrong")
    os.truncate(folder / "mmproj-Tiny-F16.gguf", 1000)
    (folder / "mmproj-Tiny-F16.gguf").rename(folder / "half.gguf")
    (folder / "mmproj.gguf").unlink()
    (folder / "half.gguf").rename(folder / "mmproj.gguf")
    wrong = (folder / MODEL).read_bytes()
    code, output, _ = run(source, models, hub.url)
    assert code == 0
    assert source.is_published(models)
    assert hub.sent_bytes >= source.size_bytes
    assert f"'m/{MODEL}': not used, its sha256 is " in output
    assert "'m/mmproj.gguf': not used, it has 1000 bytes; expected 200000" in output
    assert f"is now m.before ('{MODEL}', 'mmproj.gguf')" in output
    assert (models / "m.before" / MODEL).read_bytes() == wrong
    assert (models / "m.before" / "mmproj.gguf").stat().st_size == 1000


def test_only_the_missing_file_is_downloaded(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    (folder / MODEL).unlink()
    assert run(source, models, hub.url)[0] == 0
    assert source.is_published(models)
    assert hub.count("mmproj.gguf") == 0
    assert hub.count("model.gguf") > 0


def test_no_link_is_followed(source: Source, models: Path, hub: hubs.Hub, tmp_path: Path) -> None:
    outside = earlier.fill(source, tmp_path / "outside")
    (models / "m").mkdir(parents=True)
    (models / "m" / MODEL).symlink_to(outside / MODEL)
    (models / "m" / "sub").symlink_to(outside, target_is_directory=True)
    code, output, _ = run(source, models, hub.url)
    assert code == 0
    assert "taken over" not in output
    assert hub.sent_bytes >= source.size_bytes
    assert earlier.serves(source, outside)


def test_subfolders_are_searched_down_to_a_depth(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    for name, depth in ((MODEL, DEPTH), ("mmproj-Tiny-F16.gguf", DEPTH + 1)):
        deep = folder.joinpath(*"abcdefgh"[: depth - 1])
        deep.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(deep / name)
    code, output, _ = run(source, models, hub.url)
    assert code == 0
    assert source.is_published(models)
    assert (hub.count("model.gguf"), hub.count("mmproj.gguf") > 0) == (0, True)
    assert f"'m/a/b/c/{MODEL}': taken over" in output
    assert (models / "m.before" / "a" / "b" / "c" / MODEL).is_file()


def test_two_folders_may_hold_the_same_file(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    plan = source.plan()
    plan["models"].append({**plan["models"][0], "id": "n"})
    source.write_plan(plan)
    earlier.fill(source, models / "n")
    code, output, _ = run(source, models, hub.url)
    assert (code, hub.requests) == (0, [])
    assert source.is_published(models)
    assert (models / "n").readlink() == (models / "m").readlink()
    assert f"n: what had this name is now n.before ('{MODEL}', " in output
    assert (models / "n.before" / MODEL).stat().st_nlink == 1


def test_a_full_volume_needs_no_space_for_what_it_holds(source: Source, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "volume", 5 * MIB) as volume, hubs.Hub(source.files) as hub:
        folder = earlier.fill(source, volume / "m")
        (folder / "mmproj-Tiny-F16.gguf").unlink()
        with contextlib.suppress(OSError):
            (volume / "other").write_bytes(b"x" * (3 * MIB // 2))
        code, _, error = run(source, volume, hub.url)
        assert (code, error) == (0, "")
        assert source.is_published(volume)


def test_only_files_of_a_right_size_are_read(
    source: Source, models: Path, folder: Path, hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other.gguf").write_bytes(b"x" * 100)
    hashed = []

    def record(path: Path, **how: object) -> str:
        hashed.append(path.name)
        return hash_file(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(take_over, "hash_file", record)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert main([*options(source, models)]) == 0
    assert sorted(hashed) == sorted(earlier.NAMES.values())


def a_file(place: Path, _: Path) -> None:
    place.write_text("mine")


def a_socket(place: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))


def a_pipe(place: Path, _: Path) -> None:
    os.mkfifo(place)


def a_link_elsewhere(place: Path, elsewhere: Path) -> None:
    place.symlink_to(elsewhere)


def a_link_to_nothing(place: Path, _: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.parametrize(
    "something", [a_file, a_socket, a_pipe, a_link_elsewhere, a_link_to_nothing]
)
def test_anything_with_a_models_name_is_moved_aside(
    something: Callable[[Path, Path], None], source: Source, tmp_path: Path, hub: hubs.Hub
) -> None:
    with tempfile.TemporaryDirectory() as short:  # A socket's path has at most 107 bytes.
        models = Path(short)
        something(models / "m", tmp_path)
        (models / "m.before").mkdir()
        kind = (models / "m").lstat().st_mode
        code, output, error = run(source, models, hub.url)
        assert (code, error) == (0, "")
        assert source.is_published(models)
        assert "m: what had this name is now m.before-2 (it was not a folder)" in output
        assert (models / "m.before-2").lstat().st_mode == kind
        assert list((models / "m.before").iterdir()) == []


def test_another_models_name_is_not_a_free_name(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    plan = source.plan()
    plan["models"].append({**plan["models"][0], "id": "m.before"})
    source.write_plan(plan)
    (folder / "notes").write_text("mine")
    assert run(source, models, hub.url)[0] == 0
    assert (models / "m.before").is_symlink()
    assert (models / "m.before-2" / "notes").read_text() == "mine"


def test_names_are_shown_as_harmless_text(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    evil = b"a\x1b[31m\n" + b"\xff" * 200
    (folder / MODEL).rename(folder / os.fsdecode(evil))
    for number in range(20):
        (folder / f"z{number:02}").touch()
    code, output, _ = run(source, models, hub.url)
    assert code == 0
    assert hub.requests == []
    assert "\x1b" not in output
    (line,) = [line for line in output.splitlines() if "is now m.before" in line]
    assert "'z00', 'z01', 'z02', 'z03', 'z04' and more" in line
    assert all(len(line) < 250 for line in output.splitlines())


def test_a_name_that_leaves_no_room_for_the_link_is_not_used(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    (folder / MODEL).rename(folder / ("x" * 255))
    code, output, _ = run(source, models, hub.url)
    assert code == 0
    assert "cannot be moved to blobs (File name too long)" in output
    assert source.is_published(models)


def test_a_file_of_another_mount_is_not_used(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    with tmpfs(folder / "sub", 8 * MIB) as mounted:
        shutil.move(folder / MODEL, mounted / MODEL)
        code, output, _ = run(source, models, hub.url)
        is_published = source.is_published(models)
        # The tmpfs has moved with its folder, and is unmounted where it was mounted.
        (models / "m").unlink()
        (models / "m.before").rename(folder)
    assert (code, is_published) == (0, True)
    assert f"'m/sub/{MODEL}': not used, it cannot be moved to blobs" in output


@pytest.mark.parametrize("name", [".moving", "..moving", "...moving", ".other.moving"])
def test_a_planted_link_moves_nothing_outside(
    name: str, source: Source, models: Path, folder: Path, hub: hubs.Hub, tmp_path: Path
) -> None:
    outside = tmp_path / source.sha256("model.gguf")
    outside.touch(0o640)
    (folder / name).symlink_to(outside)
    code, _, error = run(source, models, hub.url)
    assert (code, error) == (0, "")
    assert source.is_published(models)
    assert outside.stat().st_mode & 0o777 == 0o640


def test_a_waiting_link_never_replaces_a_file(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    """As when somebody wrote the file anew after a run was killed."""
    blob = models / "blobs" / source.sha256("model.gguf")
    blob.parent.mkdir()
    (folder / MODEL).rename(blob)
    (folder / MODEL).write_text("mine")
    (folder / f".{MODEL}.moving").symlink_to(os.path.relpath(blob, folder))
    take_over._end_moves(models, read_plan(source.plan_path), print)
    assert (folder / MODEL).read_text() == "mine"
    (folder / MODEL).unlink()
    take_over._end_moves(models, read_plan(source.plan_path), print)
    assert (folder / MODEL).readlink() == Path(os.path.relpath(blob, folder))


def test_the_number_of_entries_that_are_read_is_bounded(
    source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "m").mkdir(parents=True)
    for number in range(20):
        (models / "m" / f"{number}.gguf").touch()
    monkeypatch.setattr(folders, "ENTRIES", 7)
    assert len(list(folders.entries(models, models / "m"))) == 7


def test_a_file_with_the_waiting_links_name_is_kept(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    (folder / f".{MODEL}.moving").write_text("mine")
    code, _, error = run(source, models, hub.url)
    assert code == NOT_AS_PLANNED
    assert "File exists; something else has the name of a file or folder of this program" in error
    assert (folder / f".{MODEL}.moving").read_text() == "mine"
    assert earlier.serves(source, folder)


def test_a_file_that_changes_meanwhile_is_not_used(
    source: Source,
    models: Path,
    folder: Path,
    hub: hubs.Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def write_meanwhile(path: Path, **how: object) -> str:
        sha256 = hash_file(path, **how)  # type: ignore[arg-type]
        with path.open("r+b") as content:
            content.write(b"later")
        return sha256

    monkeypatch.setattr(take_over, "hash_file", write_meanwhile)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert main([*options(source, models)]) == 0
    assert f"'m/{MODEL}': not used, it changed while it was hashed" in capsys.readouterr().out
    assert source.is_published(models)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ESTALE, TRANSIENT),
        (errno.EIO, TRANSIENT),
        (errno.ENOSPC, NO_SPACE),
        (errno.EDQUOT, NO_SPACE),
        (errno.EROFS, NOT_AS_PLANNED),
    ],
)
@pytest.mark.parametrize("step", ["hash_file", "name_blob"])
@pytest.mark.usefixtures("signals", "folder")
def test_an_error_of_the_volume_has_its_exit_code(
    step: str,
    number: int,
    code: int,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **_how: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(take_over, step, fail)
    assert main([*options(source, models)]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {models}: ")
    assert error.count("\n") == 1
    assert earlier.serves(source, models / "m")


def test_a_run_that_lost_the_lease_moves_nothing(
    source: Source, models: Path, folder: Path
) -> None:
    class Lost(Lease):
        def check(self) -> None:
            raise DownloadError(BUSY, "lost")

    plan = read_plan(source.plan_path)
    (models / "blobs").mkdir()
    with (
        Lost(models, lease_s=60, wait_s=0, say=print) as lease,
        pytest.raises(DownloadError, match="lost"),
    ):
        take_over.take_over(models, plan, plan.files, lease=lease, say=print)
    assert blobs(models) == set()
    assert {path.name for path in folder.iterdir() if not path.is_symlink()} == set(
        earlier.NAMES.values()
    )


def test_a_second_run_takes_nothing_over(
    source: Source, models: Path, folder: Path, hub: hubs.Hub
) -> None:
    before = sorted(folder.iterdir())
    with Lease(models, lease_s=60, wait_s=0, say=print):
        assert run(source, models, hub.url)[0] == BUSY
    assert not (models / "blobs").exists()
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("signals")
def test_sigterm_ends_the_hashing(
    source: Source, models: Path, folder: Path, hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            take_over, "hash_file", lambda *_, **_how: os.kill(os.getpid(), signal.SIGTERM)
        )
        assert main([*options(source, models)]) == TRANSIENT
    assert earlier.serves(source, folder)
    assert run(source, models, hub.url)[0] == 0
    assert hub.requests == []


def test_the_log_shows_the_hashing(
    source: Source, models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take_over, "PlainReport", partial(PlainReport, every_s=0))
    plan = read_plan(source.plan_path)
    lines: list[str] = []
    with Lease(models, lease_s=60, wait_s=0, say=print) as lease:
        (models / "blobs").mkdir()
        take_over.take_over(models, plan, plan.files, lease=lease, say=lines.append)
    assert lines[0] == (
        "2 files in the models' folders have the size of a missing file; hashing 3.2 MiB"
    )
    assert any(line.startswith("hashing: ") and " MB/s, " in line for line in lines)
    assert lines.count("hashing: 100.0 % of 3.2 MiB, checking") == 1


@pytest.mark.usefixtures("signals")
def test_a_complete_volume_is_not_searched(
    source: Source, models: Path, folder: Path, hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "notes").write_text("mine")
    assert run(source, models, hub.url)[0] == 0
    read: set[Path] = set()
    scandir = os.scandir

    def record(path: Path) -> object:
        read.add(Path(path))
        return scandir(path)

    def never(*_: object, **_how: object) -> frozenset[str]:
        raise AssertionError("the folders are searched")

    monkeypatch.setattr(os, "scandir", record)
    monkeypatch.setattr(pull_module, "take_over", never)
    assert main([*options(source, models)]) == 0
    assert read <= {models, models / "sets", models / "blobs"}


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A folder that every user can reach, for a program that runs as another one."""
    if os.getuid() != 0:
        pytest.skip("only root can run a program as another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def of_root(anyones: Path, hub: hubs.Hub) -> tuple[Source, Path, Program]:
    """A volume of user 10001 with a folder of root, and the program as that user."""
    source = Source(anyones / "source", 3 * MIB + 5, 200_000)
    models = anyones / "models"
    earlier.fill(source, models / "m")
    os.chown(models, USER, USER)
    program = Program(
        name="download",
        arguments=options(source, models),
        log=anyones / "log",
        environment=environment(hub.url),
        user=USER,
    )
    return source, models, program


@pytest.mark.parametrize(("path", "mode"), [("m", 0o755), ("m", 0o700), (f"m/{MODEL}", 0o600)])
def test_another_users_folder_is_refused(
    path: str, mode: int, of_root: tuple[Source, Path, Program], hub: hubs.Hub
) -> None:
    source, models, program = of_root
    (models / "m").chmod(0o777)
    (models / path).chmod(mode)
    assert program.finish() == NOT_AS_PLANNED, program.log.read_text()
    last = program.log.read_text().splitlines()[-1]
    assert last == (
        f"error: {models}: '{path}' belongs to 0:0 with mode {mode:04o}; expected 10001:10001. "
        "Run in the volume's directory on its server: chown -R 10001:10001 m"
    )
    assert hub.requests == []
    assert earlier.serves(source, models / "m")
    subprocess.run(["chown", "-R", "10001:10001", "m"], cwd=models, check=True)
    assert program.finish() == 0
    assert hub.requests == []
    assert source.is_published(models)


def test_a_sticky_folder_keeps_another_users_files(
    of_root: tuple[Source, Path, Program],
) -> None:
    source, models, program = of_root
    (models / "m").chmod(0o1777)
    assert program.finish() == NOT_AS_PLANNED, program.log.read_text()
    assert "' belongs to 0:0 with mode 0644; expected 10001:10001" in program.log.read_text()
    assert earlier.serves(source, models / "m")


def test_another_users_file_keeps_its_mode(
    of_root: tuple[Source, Path, Program], hub: hubs.Hub
) -> None:
    source, models, program = of_root
    (models / "m").chmod(0o777)
    assert program.finish() == 0
    assert hub.requests == []
    assert source.is_published(models)
    sha256 = source.sha256("model.gguf")
    blob = models / "blobs" / sha256
    assert blob.stat().st_mode & 0o777 == 0o644
    assert f"the mode stays: 'blobs/{sha256}' belongs to 0:0" in program.log.read_text()
    with blob.open("r+b") as content:
        content.write(b"wrong")
    arguments = (*program.arguments, "--verify", "--quarantine")
    assert replace(program, arguments=arguments).finish() == BAD_DATA, program.log.read_text()
    assert source.is_published(models)
    assert blob.with_suffix(".wrong").read_bytes().startswith(b"wrong")
