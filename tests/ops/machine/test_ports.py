"""Free ports are in the range of `SERVER_PORTS`.

The ranges here lie outside those in which the tests' servers listen at the same time.
"""

from __future__ import annotations

import pytest

from ops.errors import OpsError
from ops.machine.ports import RANGE_VARIABLE, free_ports


def test_free_ports_stay_within_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RANGE_VARIABLE, "19500-19510")
    assert {free_ports(8) for _ in range(100)} <= {19500, 19501, 19502}


def test_free_ports_avoid_reserved_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RANGE_VARIABLE, "19500-19510")
    assert {free_ports(4, avoid=(19505,)) for _ in range(100)} <= {19500, 19501, 19506}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http", "SERVER_PORTS is 'http'; expected two ports, such as 20000-32000"),
        ("20500", "SERVER_PORTS is '20500'; expected two ports"),
        ("20500-20507", "SERVER_PORTS is 20500-20507; expected at least 8 ports"),
        ("20510-20500", "SERVER_PORTS is 20510-20500; expected at least 8 ports"),
    ],
)
def test_an_invalid_range_is_refused(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RANGE_VARIABLE, text)
    with pytest.raises(OpsError, match=message):
        free_ports(8)
