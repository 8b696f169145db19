"""How a page is read and typed, by pages of the tests' own."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.real.deploy.activated import Shell
from tests.real.pages.edit import edit
from tests.real.pages.other_cluster import other_cluster
from tests.real.pages.page import Command, Page
from tests.real.pages.reader import Reader
from tests.real.pages.terminal import Terminal

TEXT = """\
# A page

    export WHERE=example

## First

Text, `code`:

    echo one \\
      "$WHERE"
    exit 4     # exit code 4: nothing serves

It prints:

    $ echo shown
    shown

1. This is typed on
   a node with disks:

       mkfs.ext4 /dev/vg/models

2. Set in `stacks/production.py`:

       from llama_swap_config.cluster.storage import LocalSsdStorage

       storage=LocalSsdStorage(node="k8s-node1", path="/srv/models"),
       prevent_destroy=False,

## Without blocks

## Shown only

    $ echo shown
"""


@pytest.fixture
def page(tmp_path: Path) -> Page:
    (tmp_path / "page.md").write_text(TEXT)
    return Page(tmp_path / "page.md")


@pytest.fixture
def reader(page: Page, tmp_path: Path) -> Reader:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/production.py").write_text((ROOT / "stacks/production.py").read_text())
    return Reader(page, Terminal(tmp_path, tmp_path), values={"example": "here"})


def test_blocks_are_read_in_order_with_what_each_is_for(page: Page) -> None:
    assert page.setup == "export WHERE=example"
    assert page.sections == ("First",)
    typed, shown, elsewhere, edited = page.section("First")
    assert typed.commands == (
        Command(text='echo one \\\n  "$WHERE"'),
        Command(text="exit 4     # exit code 4: nothing serves", exit_code=4),
    )
    assert shown.kind == "shown"
    assert (elsewhere.kind, elsewhere.place) == ("elsewhere", "node with disks")
    assert (edited.kind, edited.place) == ("edit", "stacks/production.py")


def test_a_section_that_a_page_does_not_have_is_an_error(page: Page) -> None:
    with pytest.raises(AssertionError, match=r"page\.md has no block below 'Second'"):
        page.section("Second")


def test_each_command_is_typed_in_a_shell_with_the_setup(reader: Reader) -> None:
    assert reader.follow("First") == ["one here\n", ""]
    assert reader.elsewhere == ["mkfs.ext4 /dev/vg/models"]
    assert reader.type("echo ${VIRTUAL_ENV:-none} ${KUBECONFIG:-none}") == "none none\n"


def test_a_command_that_ends_with_another_code_is_an_error(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="false; true\nexited with 1: "):
        reader.type("false; true")
    with pytest.raises(AssertionError, match="exit code 4\nexited with 0: "):
        reader.type(Command(text="true # exit code 4", exit_code=4))


def test_a_value_that_the_page_does_not_have_is_an_error(page: Page, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md does not have 'an older example'"):
        Reader(page, Terminal(tmp_path, tmp_path), values={"an older example": "own"})


def test_an_edit_replaces_arguments_and_adds_those_that_lack(reader: Reader) -> None:
    reader.follow("First")
    production = reader.terminal.checkout / "stacks/production.py"
    source = production.read_text()
    declared: dict[str, object] = {}
    exec(compile(source, "production", "exec", dont_inherit=True), declared)
    settings = declared["PRODUCTION"]
    assert "192.168.1.127" not in source
    assert "node='k8s-node1', path='/srv/models')" in repr(settings)
    assert "prevent_destroy=False" in repr(settings)
    edit(production, "prevent_destroy=True,")
    assert production.read_text() == source.replace(
        "prevent_destroy=False", "prevent_destroy=True"
    )


def test_an_edit_replaces_an_assignment_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "consumers.py"
    path.write_text('"""Who asks."""\n\nNAMES: tuple[str, ...] = (\n    "a",\n)\nLAST: int = 1\n')
    edit(path, 'NAMES: tuple[str, ...] = (\n    "b",\n    "c",\n)')
    assert path.read_text() == (
        '"""Who asks."""\n\nNAMES: tuple[str, ...] = (\n    "b",\n    "c",\n)\nLAST: int = 1\n'
    )


def test_a_question_is_answered_once(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "read -p 'Sure? ' answer; echo got $answer", {"PATH": "/bin"})
    try:
        assert shell.end({"Sure? ": "y\n"}) == 0
        assert "got y\n" in shell.text
    finally:
        shell.close()


def test_a_request_to_the_current_context_is_counted() -> None:
    with other_cluster() as other:
        with pytest.raises(OSError, match="SSL"):
            urllib.request.urlopen(other.server, context=ssl.create_default_context())
        assert other.connections == 1
