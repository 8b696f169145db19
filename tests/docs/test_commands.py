"""Every command line that a page shows exists: command, subcommand, options and make targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.cli import COMMANDS, load
from tests.conftest import ROOT
from tests.make_targets import TARGETS

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUNBOOKS = [page for page in PAGES if page.parent.name == "runbooks"]
INVOCATION = re.compile(r"python -m ops ([a-z]+)([^`|#\n]*)")
MAKE = re.compile(r"(?:^ *\$? *|`)make (?:[A-Z]+=\S+ )*([a-z-]*[a-z])(?![a-z-])", re.MULTILINE)


def options(command: Any) -> set[str]:
    return {"--help"} | {
        name for each in command.params for name in (*each.opts, *each.secondary_opts)
    }


def innermost(name: str, arguments: str) -> tuple[Any, list[str]]:
    """The subcommand of a command line, and the words after it."""
    command, words = load(name), arguments.split(" -- ")[0].split()
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command, words


def unknown_words(name: str, arguments: str) -> Iterator[str]:
    """The subcommand and the options of a command line that its command does not have."""
    if name not in COMMANDS:
        yield name
        return
    command, words = innermost(name, arguments)
    command = getattr(command, "commands", {}).get("run", command)  # `bench` alone.
    known = options(command)
    yield from (word for word in words if word.startswith("--") and word not in known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_exists(page: Path) -> None:
    text = page.read_text()
    wrong = [
        (match.group(), word)
        for match in INVOCATION.finditer(text)
        for word in unknown_words(*match.groups())
    ]
    assert wrong == []
    assert set(MAKE.findall(text)) - TARGETS == set()


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_command_line_of_a_runbook_is_complete(page: Path) -> None:
    for name, arguments in INVOCATION.findall(page.read_text()):
        command, words = innermost(name, arguments)
        command.make_context(name, words)


def test_a_command_line_that_does_not_exist_is_found() -> None:
    assert list(unknown_words("fit", " --model a --cntext 1")) == ["--cntext"]
    assert list(unknown_words("deplyo", "")) == ["deplyo"]
    assert list(unknown_words("gateway", " keys new a --secrt b")) == ["--secrt"]
    assert "mak" not in TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [
        link
        for link in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", page.read_text())
        if "://" not in link and not leads_somewhere(page, link)
    ]
    assert broken == []


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if not anchor or target.suffix != ".md":
        return target.exists()
    headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
    return anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """The anchor that GitHub and Forgejo give a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")
