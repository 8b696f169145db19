"""The base of a plan: which commit it is, and what is said where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.plan.revision import Revision, find_base, unpack


def git(root: Path, *words: str) -> str:
    identity = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    )
    command = ["git", *identity, *words]
    return subprocess.run(
        command, cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(root: Path, text: str) -> str:
    (root / "file").write_text(text)
    git(root, "add", "file")
    git(root, "commit", "--quiet", "--message", text)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, "one")
    commit(root, "two")
    return root


@pytest.fixture
def branch(origin: Path) -> tuple[Path, str]:
    """A branch with a commit of its own, main being further too; and where they part."""
    parted = git(origin, "rev-parse", "HEAD")
    git(origin, "checkout", "--quiet", "-b", "mine")
    commit(origin, "mine")
    git(origin, "checkout", "--quiet", "main")
    commit(origin, "three")
    git(origin, "checkout", "--quiet", "mine")
    return origin, parted


def test_the_base_is_where_the_branch_left_main(branch: tuple[Path, str]) -> None:
    root, parted = branch
    assert find_base(root, None) == Revision(commit=parted, name="merge base with main")


def test_on_main_the_base_is_head(origin: Path) -> None:
    assert find_base(origin, None).commit == git(origin, "rev-parse", "HEAD")


def test_without_a_local_main_that_of_origin_counts(
    branch: tuple[Path, str], tmp_path: Path
) -> None:
    root, parted = branch
    git(tmp_path, "clone", "--quiet", "--branch=mine", str(root), "clone")
    found = find_base(tmp_path / "clone", None)
    assert found == Revision(commit=parted, name="merge base with origin/main")


def test_a_shallow_clone_says_what_to_fetch_and_that_helps(
    branch: tuple[Path, str], tmp_path: Path
) -> None:
    root, parted = branch
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=mine", root.as_uri(), "clone")
    with pytest.raises(OpsError, match="this clone is shallow and lacks the merge base") as caught:
        find_base(clone, None)
    command = str(caught.value).split("`")[1]
    assert command.startswith("git fetch --unshallow origin main")
    subprocess.run(command.split(), cwd=clone, check=True, capture_output=True)
    assert find_base(clone, None).commit == parted


def test_a_revision_that_is_not_here_is_one_line(origin: Path) -> None:
    for asked in ("no-such", "--output=/tmp/x", "a\x1b[31m\nb", "", "a\0b"):
        with pytest.raises(OpsError, match="allowed: a revision that is in this clone") as caught:
            find_base(origin, asked)
        assert str(caught.value).isprintable()


def test_without_main_a_base_has_to_be_named(origin: Path) -> None:
    git(origin, "branch", "--move", "main", "trunk")
    with pytest.raises(OpsError, match=r"no branch main or origin/main.*pass --base"):
        find_base(origin, None)
    assert find_base(origin, "HEAD^").name == "HEAD^"


def test_without_git_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match=r"is no git repository.*git clone"):
        find_base(tmp_path, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OpsError, match="git is not on PATH"):
        find_base(tmp_path, None)


def test_the_files_are_those_of_the_commit(origin: Path, tmp_path: Path) -> None:
    first = Revision(commit=git(origin, "rev-parse", "HEAD^"), name="x")
    (tmp_path / "tree").mkdir()
    unpack(origin, first, tmp_path / "tree")
    assert (tmp_path / "tree" / "file").read_text() == "one"


def test_a_link_out_of_the_tree_is_refused(origin: Path, tmp_path: Path) -> None:
    (origin / "link").symlink_to("/etc/passwd")
    git(origin, "add", "link")
    git(origin, "commit", "--quiet", "--message=link")
    (tmp_path / "tree").mkdir()
    head = Revision(commit=git(origin, "rev-parse", "HEAD"), name="HEAD")
    with pytest.raises(OpsError, match="cannot be unpacked"):
        unpack(origin, head, tmp_path / "tree")
