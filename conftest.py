"""Run the tests on a copy of this tree that declares what tests/declaration/ says.

So every test, and every program that a test starts, sees a frozen registry, lock and settings, and
an operator who edits those of this tree breaks no test. tests/live/ alone reads this tree's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_TREE = Path(__file__).parent
_FROZEN = _TREE / "tests" / "declaration"
_DECLARED = {
    Path("llama_swap_config/registry.py"): _FROZEN / "registry.py",
    Path("llama_swap_config/consumers.py"): _FROZEN / "consumers.py",
    Path("llama_swap_config/models.lock.json"): _FROZEN / "models.lock.json",
    Path("stacks/production.py"): _FROZEN / "settings.py",
}
_NOT_COPIED = {".git", "cdktf.out", "__pycache__", "bench-runs", ".embedded", ".serve"}


def _copy(source: Path, target: Path) -> None:
    """Link folders and copy files, but for the files that declare and the folders they lie in."""
    target.mkdir()
    folders = {path.parent for path in _DECLARED}
    for path in source.iterdir():
        place = path.relative_to(_TREE)
        if path.name in _NOT_COPIED:
            continue
        if place in folders:
            _copy(path, target / path.name)
        elif path.is_dir():
            (target / path.name).symlink_to(path)
        else:
            # Python takes the folder of a linked main.py for its own.
            shutil.copy(_DECLARED.get(place, path), target / path.name)


def _commit(tree: Path) -> None:
    """Make the copy a repository: drift and plan ask git what is declared since when."""
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        (*who, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=declare"),
    ):
        subprocess.run(["git", *words], cwd=tree, check=True)


_FOLDER = tempfile.mkdtemp(prefix="llama-cpp-tree-")
_copy(_TREE, Path(_FOLDER) / "tree")
_commit(Path(_FOLDER) / "tree")
sys.path.insert(0, str(Path(_FOLDER) / "tree"))


def pytest_unconfigure() -> None:
    """Remove the copy."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
