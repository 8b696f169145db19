"""What pages repeat, because each is typed alone, is the same on each."""

from __future__ import annotations

import re

from tests.conftest import ROOT
from tests.real.pages.page import Page

PAGES = sorted((ROOT / "docs").glob("*.md"))
SETUP = "kubectl() {"
SECRET = re.compile(r"^ +(openssl rand .*\n.* create secret generic .*)$", re.MULTILINE)
NAMES = re.compile(r"(?<=-n )\S+|(?<=generic )\S+|KEY_[A-Z_]+")


def test_each_page_sets_up_a_shell_in_the_same_way() -> None:
    setups = [Page(page).setup for page in PAGES if SETUP in page.read_text()]
    assert len(setups) > 1
    assert len(set(setups)) == 1


def test_each_page_makes_the_secret_by_the_same_command() -> None:
    commands = [
        NAMES.sub("NAME", command)
        for page in PAGES
        for command in SECRET.findall(page.read_text())
    ]
    assert len(commands) > 1
    assert len(set(commands)) == 1
