"""What git knows of the working tree."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.commands.drift import working_tree


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone whose upstream is one commit ahead, and known to be."""
    for name, value in (("AUTHOR", "ann"), ("COMMITTER", "ann")):
        monkeypatch.setenv(f"GIT_{name}_NAME", value)
        monkeypatch.setenv(f"GIT_{name}_EMAIL", f"{value}@localhost")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    upstream.mkdir()
    git(upstream, "init", "-q", "-b", "main")
    (upstream / "a").write_text("1")
    git(upstream, "add", "a")
    git(upstream, "commit", "-qm", "one")
    git(tmp_path, "clone", "-q", str(upstream), str(clone))
    git(upstream, "commit", "-qm", "two", "--allow-empty")
    git(clone, "fetch", "-q")
    monkeypatch.setattr(working_tree, "ROOT", clone)
    working_tree.commit_of.cache_clear()
    yield clone
    working_tree.commit_of.cache_clear()


def git(where: Path, *words: str) -> str:
    result = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_a_stale_or_edited_tree_is_a_note(tree: Path) -> None:
    (behind,) = working_tree.notes()
    assert behind.startswith("the working tree is 1 commit behind origin/main; ")
    git(tree, "merge", "-q", "origin/main")
    assert list(working_tree.notes()) == []
    (tree / "a").write_text("2")
    assert list(working_tree.notes()) == ["the working tree has 1 uncommitted file"]


def test_commit_of_returns_the_last_commit_and_its_time(tree: Path) -> None:
    commit, time_s = git(tree, "log", "-1", "--format=%h %ct", "--", "a").split()
    assert working_tree.commit_of("a") == (f"commit {commit}", float(time_s))
    working_tree.commit_of.cache_clear()
    (tree / "a").write_text("2")
    assert working_tree.commit_of("a") == ("not committed", None)
    assert working_tree.commit_of("nowhere") == ("", None)
