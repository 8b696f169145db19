from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from in_pod.gateway.contract import MOST_KEYS
from in_pod.gateway.keys import Keys
from ops.machine.checkout import ROOT
from tests.real.gateway.gateway import key_line

CONSUMERS = ("poster", "agent")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in CONSUMERS:
        (tmp_path / name).write_text(key_line(f"sk-{name}"))
    return tmp_path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


def test_a_key_belongs_to_its_consumer(folder: Path) -> None:
    keys = Keys(folder, CONSUMERS)
    assert keys.consumer_of("sk-poster") == "poster"
    assert keys.consumer_of("sk-agent") == "agent"
    for other in ("", "sk-poster ", "sk-other", "sha256:" + "0" * 64, "sk-\udcff", "sk-\u00e9"):
        assert keys.consumer_of(other) is None
    # The hash in the file does not pass for a key.
    assert keys.consumer_of((folder / "poster").read_text().split()[0]) is None


def test_the_key_and_its_successor_are_valid(folder: Path) -> None:
    (folder / "poster").write_text(key_line("sk-old") + key_line("sk-new"))
    keys = Keys(folder, CONSUMERS)
    assert keys.consumer_of("sk-old") == keys.consumer_of("sk-new") == "poster"
    assert keys.consumer_of("sk-poster") is None


def test_a_changed_file_counts_at_once(folder: Path) -> None:
    keys = Keys(folder, CONSUMERS)
    for round_ in range(20):
        # Of the same length, within the same tick of the file system's clock.
        (folder / "poster").unlink()
        (folder / "poster").write_text(key_line(f"sk-{round_:02}"))
        assert keys.consumer_of(f"sk-{round_:02}") == "poster"
    assert keys.consumer_of("sk-00") is None


def test_the_links_of_a_mounted_secret_are_followed(tmp_path: Path) -> None:
    """kubelet writes a new directory, and renames a link to it."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "poster").write_text(key_line(f"sk{version}"))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "poster").symlink_to("..data/poster")
    keys = Keys(tmp_path, ("poster",))
    assert keys.consumer_of("sk..1") == "poster"
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert keys.consumer_of("sk..1") is None
    assert keys.consumer_of("sk..2") == "poster"


LINE = key_line("sk-poster")


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", LINE[:40], LINE[:-5], LINE.strip().replace(" ", "  "), f" {LINE}", f"{LINE}x"),
        *("sk-poster\n", LINE.upper(), LINE.replace("sha256", "md5"), f"{LINE}\n{LINE}"),
        *(LINE * (MOST_KEYS + 1), LINE + LINE[:70], LINE.replace("-", "/"), "\0" * 9, LINE * 99),
    ],
)
def test_a_broken_file_closes_that_consumer_only(
    folder: Path, log: pytest.LogCaptureFixture, text: str
) -> None:
    (folder / "poster").write_text(text)
    keys = Keys(folder, CONSUMERS)
    assert keys.consumer_of("sk-poster") is None
    assert keys.consumer_of("sk-agent") == "agent"
    assert keys.closed.keys() == {"poster"}
    (message,) = log.messages
    assert message.startswith(f"consumer poster is closed: {folder / 'poster'} has")
    assert "\n" not in message
    # It may be a key that someone wrote there.
    assert "sk-" not in message
    assert LINE[7:40] not in message
    # It is said once, and open again at once.
    keys.consumer_of("sk-agent")
    (folder / "poster").write_text(LINE)
    assert keys.consumer_of("sk-poster") == "poster"
    assert not keys.closed
    assert log.messages[1:] == ["consumer poster is open again"]


def test_a_missing_file_or_directory_closes_its_consumers(
    folder: Path, log: pytest.LogCaptureFixture
) -> None:
    (folder / "poster").unlink()
    keys = Keys(folder, CONSUMERS)
    assert keys.consumer_of("sk-agent") == "agent"
    assert keys.closed.keys() == {"poster"}
    assert not Keys(folder / "nowhere", CONSUMERS).consumer_of("sk-agent")
    (folder / "poster").mkdir()
    assert Keys(folder, CONSUMERS).closed.keys() == {"poster"}
    assert len(log.messages) == 1 + 2 + 1


def test_one_key_of_two_consumers_closes_both(folder: Path) -> None:
    (folder / "agent").write_text(key_line("sk-agent") + key_line("sk-poster"))
    keys = Keys(folder, CONSUMERS)
    assert keys.consumer_of("sk-poster") is None
    assert keys.consumer_of("sk-agent") is None
    assert "also that of agent" in keys.closed["poster"]
    assert "also that of poster" in keys.closed["agent"]


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from in_pod.gateway.keys import Keys
os.chdir(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
keys = Keys(Path(), ("poster", "agent"))
print(keys.consumer_of("sk-poster"), keys.consumer_of("sk-agent"), keys.closed["poster"])
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user_closes_that_consumer_only(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "poster").chmod(0o600)
    ran = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, folder],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "None agent [Errno 13] Permission denied: 'poster'\n"
    assert "consumer poster is closed" in ran.stderr


def test_entries_that_no_consumer_has_are_ignored(folder: Path) -> None:
    (folder / "former").write_text(key_line("sk-former"))
    assert Keys(folder, CONSUMERS).consumer_of("sk-former") is None
