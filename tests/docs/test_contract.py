"""The contract of the endpoint says only what a test shows."""

from __future__ import annotations

import re

from tests.conftest import ROOT

DOCUMENT = (ROOT / "tests" / "real" / "contract" / "README.md").read_text()
NAMED = re.compile(r"`(test_\w+)`")


def names_of_the_contract() -> set[str]:
    files = (ROOT / "tests" / "real" / "contract").glob("test_*.py")
    return {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }


def test_each_test_that_it_names_exists() -> None:
    named = set(NAMED.findall(DOCUMENT))
    assert named
    assert named - names_of_the_contract() == set()


def test_each_row_names_its_test() -> None:
    lines = DOCUMENT.splitlines()
    rows = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("|")
        and not line.startswith("|---")
        and not following.startswith("|---")
    ]
    assert len(rows) > 50
    assert [row for row in rows if not NAMED.search(row.split("|")[-2])] == []


def test_no_line_is_too_long() -> None:
    assert [line for line in DOCUMENT.splitlines() if len(line) > 120] == []
