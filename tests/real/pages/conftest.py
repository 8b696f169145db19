"""A checkout, a home, and a terminal for the readers of pages."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.real.deploy.activated import clone
from tests.real.pages.other_cluster import other_cluster
from tests.real.pages.page import Page
from tests.real.pages.reader import Reader
from tests.real.pages.terminal import Terminal, add_cluster, make_home

NewReader = Callable[..., Reader]


@pytest.fixture(scope="module")
def checkout(open_directory: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the tree after `make install`, with one commit."""
    folder = open_directory / f"checkout-{request.path.stem}"
    folder.mkdir()
    clone(folder)
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "reader"),
        ("config", "user.email", "reader@example.org"),
        ("config", "commit.gpgsign", "false"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=declare"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose kubeconfig's current context is another cluster, which nobody may ask."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    (tmp_path / "home").mkdir()
    with other_cluster() as other:
        yield make_home(tmp_path / "home", other)
        assert other.connections == 0


@pytest.fixture
def terminal(checkout: Path, home: Path) -> Terminal:
    """New shells in the checkout."""
    return Terminal(checkout, home)


@pytest.fixture
def new_reader(
    terminal: Terminal, home: Path, cluster: EmbeddedCluster, provider: Path
) -> NewReader:
    """Make the reader of a page: `new_reader("docs/day-two.md", values={"example": "own"})`.

    Its kubeconfig has the embedded cluster as the context `home`.
    """
    add_cluster(home, cluster, context="home")

    def new(page: str, *, values: dict[str, str]) -> Reader:
        return Reader(Page(ROOT / page), terminal, values=values)

    return new
