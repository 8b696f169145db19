"""A reader who follows a page."""

from __future__ import annotations

from collections.abc import Mapping

from tests.real.pages.edit import edit
from tests.real.pages.page import Block, Command, Page
from tests.real.pages.terminal import Terminal


class Reader:
    """Types the commands of a page, and edits the files that it names."""

    def __init__(self, page: Page, terminal: Terminal, *, values: Mapping[str, str]) -> None:
        """Prepare to follow a page.

        Args:
            page: The page.
            terminal: Where its commands are typed.
            values: What this reader types instead of the page's examples.
        """
        for example in values:
            assert example in page.text, f"{page.name} does not have {example!r}"
        self.page = page
        self.terminal = terminal
        self.elsewhere: list[str] = []
        """Commands of another machine, which were not typed."""
        self._values = values

    def follow(self, heading: str) -> list[str]:
        """Do what a section says, and return what each command printed."""
        return [text for block in self.page.section(heading) for text in self.do(block)]

    def do(self, block: Block) -> list[str]:
        """Do what a block says, and return what each of its commands printed."""
        if block.kind == "edit":
            edit(self.terminal.checkout / block.place, self.own(block.text))
        elif block.kind == "elsewhere":
            self.elsewhere += [command.text for command in block.commands]
        elif block.kind == "typed":
            return [self.type(command) for command in block.commands]
        return []

    def type(self, command: Command | str) -> str:
        """Type a command in a new shell, after the page's setup, and return what it printed."""
        if isinstance(command, str):
            command = Command(text=command)
        typed = self.own(f"{self.page.setup}\n{command.text}")
        return self.terminal.type(typed, exit_code=command.exit_code)

    def own(self, text: str) -> str:
        for example, value in self._values.items():
            text = text.replace(example, value)
        return text
