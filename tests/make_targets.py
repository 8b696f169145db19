"""The Makefile's targets: what a page shows and a workflow runs is one of them."""

from __future__ import annotations

import re

from tests.conftest import ROOT

TARGETS = frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
