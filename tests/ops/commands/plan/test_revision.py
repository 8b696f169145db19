"""The base of a plan: which commit it is, and what is said where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.commands.plan.revision import Revision, find_base, unpack
from ops.errors import OpsError


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


def test_on_an_unpushed_main_the_base_is_that_of_origin(origin: Path, tmp_path: Path) -> None:
    pushed = git(origin, "rev-parse", "HEAD")
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    clone = tmp_path / "clone"
    assert find_base(clone, None) == Revision(commit=pushed, name="merge base with main")
    commit(clone, "not pushed")
    expected = Revision(commit=pushed, name="merge base with origin/main")
    assert find_base(clone, None) == expected
    git(clone, "checkout", "--quiet", "--detach")
    assert find_base(clone, None) == expected


def test_without_a_local_main_the_base_is_that_of_origin(
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


def test_an_unknown_revision_is_one_line(origin: Path) -> None:
    for asked in ("no-such", "--output=/tmp/x", "a\x1b[31m\nb", "", "a\0b"):
        with pytest.raises(OpsError, match="expected a revision of this clone") as caught:
            find_base(origin, asked)
        assert str(caught.value).isprintable()


def test_without_main_a_base_has_to_be_named(origin: Path) -> None:
    git(origin, "branch", "--move", "main", "trunk")
    with pytest.raises(OpsError, match=r"no branch main or origin/main.*pass --base"):
        find_base(origin, None)
    assert find_base(origin, "HEAD^").name == "HEAD^"


def test_a_tree_without_git_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match=r"is not a git repository.*git clone"):
        find_base(tmp_path, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OpsError, match="git is not on PATH"):
        find_base(tmp_path, None)


def test_the_files_are_those_of_the_commit(origin: Path, tmp_path: Path) -> None:
    first = Revision(commit=git(origin, "rev-parse", "HEAD^"), name="x")
    (tmp_path / "tree").mkdir()
    unpack(origin, first, tmp_path / "tree")
    assert (tmp_path / "tree" / "file").read_text() == "one"


def test_what_is_staged_stays_staged(origin: Path, tmp_path: Path) -> None:
    (origin / "file").write_text("staged")
    git(origin, "add", "file")
    before = git(origin, "status", "--porcelain")
    (tmp_path / "tree").mkdir()
    unpack(origin, Revision(commit=git(origin, "rev-parse", "HEAD"), name="x"), tmp_path / "tree")
    assert git(origin, "status", "--porcelain") == before == "M  file"


def test_files_that_git_lacks_are_an_error_that_names_the_remedy(
    origin: Path, tmp_path: Path
) -> None:
    commit_ = git(origin, "rev-parse", "HEAD")
    for path in (origin / ".git" / "objects").glob("*/*"):
        if git(origin, "cat-file", "-t", path.parent.name + path.name) == "blob":
            path.unlink()
    (tmp_path / "tree").mkdir()
    with pytest.raises(OpsError, match=r"cannot be unpacked \(.*git fetch --unshallow"):
        unpack(origin, Revision(commit=commit_, name="x"), tmp_path / "tree")
