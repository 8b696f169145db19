"""Find a revision of this repository and unpack it beside the working tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError
from ops.report.safe_text import redacted_line

_FETCH = "git fetch --unshallow origin main:refs/remotes/origin/main"
_TRUNKS = ("refs/heads/main", "refs/remotes/origin/main")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit and the name by which it was chosen."""

    commit: str
    name: str
    """The value of --base, or the origin of the default."""


def find_base(root: Path, asked: str | None) -> Revision:
    """Find the commit to compare with.

    Args:
        root: The working tree.
        asked: A revision (default: the merge base with `main`, or with `origin/main` if there is
            no local `main` or it contains HEAD; if both contain it, HEAD).

    Raises:
        OpsError: if the tree has no git, or the clone lacks the revision or the merge base; the
            error says which command fetches it.
    """
    if _git(root, "rev-parse", "--is-inside-work-tree") is None:
        raise OpsError(
            f"{root} is not a git repository, so it has no base to compare with. Run this in a "
            "clone (`git clone`)"
        )
    is_shallow = _git(root, "rev-parse", "--is-shallow-repository") == "true"
    if asked is not None:
        commit = _commit(root, asked)
        if commit is None:
            remedy = f"Run `{_FETCH}`" if is_shallow else "Run `git fetch origin` or `git log`"
            raise OpsError(
                f"--base is {redacted_line(repr(asked))}; expected a revision of this clone. "
                f"{remedy}"
            )
        return Revision(commit=commit, name=asked)
    bases = [base for trunk in _TRUNKS if (base := _merge_base(root, trunk)) is not None]
    if bases:
        # On a main with unpushed commits, HEAD would be its own base: compare with origin/main.
        head = _commit(root, "HEAD")
        return next((base for base in bases if base.commit != head), bases[0])
    if is_shallow:
        raise OpsError(
            f"this clone is shallow and lacks the merge base with main. Run `{_FETCH}`, or pass "
            "a base of this clone (--base HEAD^1)"
        )
    raise OpsError(
        "no branch main or origin/main shares a commit with HEAD. "
        "Run `git fetch origin main:refs/remotes/origin/main`, or pass --base"
    )


def _merge_base(root: Path, trunk: str) -> Revision | None:
    if _commit(root, trunk) is None:
        return None
    commit = _git(root, "merge-base", "HEAD", trunk)
    name = trunk.removeprefix("refs/heads/").removeprefix("refs/remotes/")
    return None if commit is None else Revision(commit=commit, name=f"merge base with {name}")


def unpack(root: Path, revision: Revision, directory: Path) -> None:
    """Unpack the files of a revision.

    Args:
        root: The working tree of the repository.
        revision: What to unpack.
        directory: An empty directory.

    Raises:
        OpsError: if git cannot unpack the files.
    """
    with tempfile.TemporaryDirectory() as aside:
        # A separate index, so that staged changes stay staged.
        env = os.environ | {"GIT_INDEX_FILE": str(Path(aside) / "index")}
        for words in (
            ("read-tree", revision.commit),
            ("checkout-index", "--all", f"--prefix={directory}/"),
        ):
            result = subprocess.run(
                ["git", *words], cwd=root, env=env, capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise OpsError(
                    f"base {revision.commit[:12]} cannot be unpacked "
                    f"({redacted_line(result.stderr.strip())}). If this is a partial or shallow "
                    f"clone, run `{_FETCH}`"
                )


def _commit(root: Path, revision: str) -> str | None:
    # A revision that starts with a dash is not an option.
    words = ("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return _git(root, "rev-parse", *words)


def _git(root: Path, *words: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise OpsError("git is not on PATH. Install it") from error
    except ValueError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
