"""docs/operating.md lists the exit codes that a deploy has."""

from __future__ import annotations

import re

from ops.cluster.causes import FAILURES, WAITS
from ops.errors import RefusedError
from tests.conftest import ROOT

_ROW = re.compile(r"^\| ([\d, ]+) \| (.+) \|$", re.MULTILINE)


def test_the_page_has_each_exit_code_of_a_deploy() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = {
        int(code): meaning for codes, meaning in _ROW.findall(text) for code in codes.split(", ")
    }
    failures = {failure.exit_code: failure.what for failure in FAILURES.values()}
    assert {code: rows[code] for code in failures} == failures
    assert rows.keys() - failures.keys() == {0, 1, 2, RefusedError.exit_code, WAITS, 129, 130, 143}
