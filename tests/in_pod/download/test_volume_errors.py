"""Errors of NFS, CIFS, FAT, and full and failing disks: the line and exit code of each."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from in_pod.download import pull as pull_module
from in_pod.download import volume
from in_pod.download.__main__ import main
from in_pod.download.contract import NO_SPACE, NOT_AS_PLANNED, TRANSIENT
from in_pod.download.volume_errors import ADVICE
from tests.conftest import ROOT
from tests.fakes import hubs
from tests.in_pod.download import earlier
from tests.in_pod.download.limits import ext4, tmpfs
from tests.in_pod.download.process import PROGRAM, environment, options, run
from tests.in_pod.download.volume import Source

MIB = 1 << 20
ERRORS = {
    "ENOSPC": (NO_SPACE, "the volume is full. Enlarge it"),
    "EDQUOT": (NO_SPACE, "Raise the quota"),
    "EROFS": (NOT_AS_PLANNED, "mounted read-only"),
    "EACCES": (NOT_AS_PLANNED, "expected a directory that user"),
    "EPERM": (NOT_AS_PLANNED, "expected a directory that user"),
    "ENOTDIR": (NOT_AS_PLANNED, "Move it away"),
    "EISDIR": (NOT_AS_PLANNED, "Move it away"),
    "EEXIST": (NOT_AS_PLANNED, "Move it away"),
    "ENOTEMPTY": (NOT_AS_PLANNED, "Move it away"),
    "ELOOP": (NOT_AS_PLANNED, "Move it away"),
    "EBUSY": (NOT_AS_PLANNED, "something is mounted there. Unmount it"),
    "EXDEV": (NOT_AS_PLANNED, "mounted inside the volume"),
    "ENAMETOOLONG": (NOT_AS_PLANNED, "names of this length"),
    "EFBIG": (NOT_AS_PLANNED, "FAT ends at 4 GiB"),
    "EMLINK": (NOT_AS_PLANNED, "so many entries in a folder"),
    "EINVAL": (NOT_AS_PLANNED, "FAT and CIFS refuse some"),
    "EILSEQ": (NOT_AS_PLANNED, "FAT and CIFS refuse some"),
    "EOPNOTSUPP": (NOT_AS_PLANNED, "mfsymlinks"),
    "ENOSYS": (NOT_AS_PLANNED, "mfsymlinks"),
    "ENOKEY": (NOT_AS_PLANNED, "Renew its Kerberos ticket"),
    "EKEYEXPIRED": (NOT_AS_PLANNED, "Renew its Kerberos ticket"),
    "EKEYREVOKED": (NOT_AS_PLANNED, "Renew its Kerberos ticket"),
    "EKEYREJECTED": (NOT_AS_PLANNED, "Renew its Kerberos ticket"),
    "EIO": (TRANSIENT, "the disk or the volume's server fails"),
    "EREMOTEIO": (TRANSIENT, "the disk or the volume's server fails"),
    "ESTALE": (TRANSIENT, "the export changed on its server"),
    "ENOENT": (TRANSIENT, "the volume was unmounted"),
    "ETIMEDOUT": (TRANSIENT, "the volume's server does not answer"),
    "EHOSTDOWN": (TRANSIENT, "the volume's server does not answer"),
    "EHOSTUNREACH": (TRANSIENT, "the volume's server does not answer"),
    "ENETUNREACH": (TRANSIENT, "the volume's server does not answer"),
    "ECONNREFUSED": (TRANSIENT, "the volume's server does not answer"),
    "ECONNRESET": (TRANSIENT, "the volume's server does not answer"),
    "ECONNABORTED": (TRANSIENT, "the volume's server does not answer"),
    "ENOTCONN": (TRANSIENT, "the volume's server does not answer"),
    "ESHUTDOWN": (TRANSIENT, "the volume's server does not answer"),
    "EPIPE": (TRANSIENT, "the volume's server does not answer"),
    "ENODEV": (TRANSIENT, "the volume's server does not answer"),
    "ENXIO": (TRANSIENT, "the volume's server does not answer"),
    "ENOLCK": (TRANSIENT, "is busy"),
    "EAGAIN": (TRANSIENT, "is busy"),
    "EINTR": (TRANSIENT, "is busy"),
    "ENOMEM": (TRANSIENT, "memory or descriptors"),
    "ENOBUFS": (TRANSIENT, "memory or descriptors"),
    "EMFILE": (TRANSIENT, "memory or descriptors"),
    "ENFILE": (TRANSIENT, "memory or descriptors"),
    "EUCLEAN": (TRANSIENT, "Structure needs cleaning"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.usefixtures("signals")
def test_an_error_has_its_exit_code_and_line(
    name: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    number = getattr(errno, name)

    def fail(*_: object, **_how: object) -> None:
        raise OSError(number, os.strerror(number), str(models / "blobs"))

    monkeypatch.setattr(pull_module, "take_over", fail)
    code, text = ERRORS[name]
    assert main([*options(source, models)]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {models}: 'blobs': {os.strerror(number)}")
    assert text in error
    assert error.count("\n") == 1


def test_every_error_of_the_table_is_tested() -> None:
    assert {getattr(errno, name) for name in ERRORS} - ADVICE.keys() == {errno.EUCLEAN}
    assert ADVICE.keys() <= {getattr(errno, name) for name in ERRORS}


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS, errno.EINVAL])
@pytest.mark.usefixtures("signals")
def test_a_share_without_symbolic_links_is_found_before_the_first_request(
    number: int,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object, **_how: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with hubs.Hub(source.files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert main([*options(source, models)]) == NOT_AS_PLANNED
        assert hub.requests == []
    assert capsys.readouterr().err == (
        f"error: {models}: no symbolic link can be made; expected a volume with symbolic links. "
        "Mount a CIFS share with mfsymlinks, or use NFS.\n"
    )
    assert [path.name for path in models.iterdir()] == []


def test_the_probe_leaves_nothing_behind(source: Source, models: Path) -> None:
    with hubs.Hub(source.files) as hub:
        assert run(source, models, hub.url)[0] == 0
    assert sorted(path.name for path in models.iterdir()) == ["blobs", "m", "sets"]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EMLINK, errno.EPERM])
def test_a_wrong_blob_is_set_aside_where_hard_links_are_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, fresh = tmp_path / ("1" * 64), tmp_path / "fresh"
    blob.write_text("wrong")
    fresh.write_text("right")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    volume.name_blob(fresh, blob)
    assert (blob.read_text(), blob.with_suffix(".wrong").read_text()) == ("right", "wrong")


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_a_folder_is_used(
    number: int, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if fails:
        with pytest.raises(OSError, match="Input/output error"):
            volume.sync(tmp_path)
    else:
        volume.sync(tmp_path)


def test_a_mount_at_a_models_name_is_named(source: Source, models: Path) -> None:
    models.mkdir(exist_ok=True)
    with tmpfs(models / "m", MIB), hubs.Hub(source.files) as hub:
        (models / "m" / "notes").write_text("not ours")
        code, _, error = run(source, models, hub.url)
        assert code == NOT_AS_PLANNED
        assert error == (
            f"error: {models}: 'm': Device or resource busy; something is mounted there. "
            "Unmount it.\n"
        )
        assert (models / "m" / "notes").exists()


def test_a_file_in_place_of_the_volume_is_named(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, error = run(source, tmp_path / "file" / "models", "http://127.0.0.1:9")
    assert code == NOT_AS_PLANNED
    assert "Not a directory" in error


def test_a_file_system_with_small_files_is_named(source: Source, models: Path) -> None:
    with hubs.Hub(source.files) as hub:
        process = subprocess.run(
            [*PROGRAM, *options(source, models)],
            cwd=ROOT,
            env=environment(hub.url),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)),
        )
    assert process.returncode == NOT_AS_PLANNED
    assert "File too large; expected a file system that stores files of this size" in (
        process.stderr
    )


def test_a_full_disk_refuses_a_take_over_and_loses_nothing(source: Source, tmp_path: Path) -> None:
    """The link that waits beside a file needs a block of the disk."""
    image, at = tmp_path / "image", tmp_path / "volume"
    with ext4(image, at, 8 * MIB) as models, hubs.Hub(source.files) as hub:
        folder = earlier.fill(source, models / "m")
        (models / "blobs").mkdir()
        filler = models / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as content:
            while True:
                content.write(b"x" * 1024)
        code, _, error = run(source, models, hub.url)
        assert code == NO_SPACE, error
        assert "the volume is full. Enlarge it" in error
        assert hub.requests == []
        assert earlier.serves(source, folder)
        filler.unlink()
        assert run(source, models, hub.url)[0] == 0
        assert hub.requests == []
        assert source.is_published(models)
