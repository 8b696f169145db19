"""A page that a test types: its indented blocks, in order, by heading.

A block is

- shown, not typed, if it begins with `$ ` (a command and what it prints), or is fenced;
- an edit, if the sentence before it ends with "in `FILE`:" (see `edit.py`);
- typed on another machine, if that sentence ends with "on the node:" or "on a machine with X:";
- else typed here. An indented line continues the command above it.

Blocks before the first section are typed in each new shell, before its command. A command must
exit with 0, or with what its remark says: `... # exit code 4: nothing serves`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt

_EDIT = re.compile(r"\bin `([^`]+)`:$", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\bon (?:the|a) ([\w ]+):$", re.IGNORECASE)
_EXIT_CODE = re.compile(r" # .*\bexit code (\d+)")
_NEXT_COMMAND = re.compile(r"\n(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it is typed."""

    text: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An indented block of a page."""

    heading: str
    kind: Literal["typed", "shown", "edit", "elsewhere"]
    text: str
    place: str = ""
    """The file of an edit, or the other machine."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of a block that is typed, here or elsewhere."""
        return tuple(map(_command, _NEXT_COMMAND.split(self.text)))


class Page:
    """The blocks of a page."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.text = path.read_text()
        self._blocks = tuple(_blocks(self.text))
        (self._title,) = re.findall(r"^# (.*)$", self.text, re.MULTILINE)

    @property
    def setup(self) -> str:
        """What each new shell types first."""
        return "\n".join(
            block.text for block in self.section(self._title) if block.kind == "typed"
        )

    @property
    def sections(self) -> tuple[str, ...]:
        """The headings of the sections in which a reader types or edits something."""
        done = (block.heading for block in self._blocks if block.kind != "shown")
        return tuple(heading for heading in dict.fromkeys(done) if heading != self._title)

    def section(self, heading: str) -> tuple[Block, ...]:
        """Return the blocks below a heading, up to the next heading of any level."""
        blocks = tuple(block for block in self._blocks if block.heading == heading)
        assert blocks, f"{self.name} has no block below {heading!r}"
        return blocks


def _blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    heading = before = ""
    tokens = MarkdownIt("commonmark").parse(text)
    for opening, token in pairwise(tokens):
        if opening.type == "heading_open":
            heading = before = token.content
        elif token.type == "inline":
            before = " ".join(token.content.split())
        elif token.type == "code_block":
            blocks.append(_block(heading, before, token.content.strip("\n")))
            before = ""
    return blocks


def _block(heading: str, before: str, text: str) -> Block:
    if text.startswith("$ "):
        return Block(heading=heading, kind="shown", text=text)
    # Markdown joins blocks with nothing but an empty line between them.
    assert "\n$ " not in text, f"a sentence lacks between what is typed and shown: {text}"
    if (file := _EDIT.search(before)) is not None:
        return Block(heading=heading, kind="edit", text=text, place=file[1])
    if (machine := _ELSEWHERE.search(before)) is not None:
        return Block(heading=heading, kind="elsewhere", text=text, place=machine[1])
    return Block(heading=heading, kind="typed", text=text)


def _command(text: str) -> Command:
    remark = _EXIT_CODE.search(text)
    return Command(text=text, exit_code=int(remark[1]) if remark else 0)
