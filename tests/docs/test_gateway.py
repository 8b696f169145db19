"""docs/gateway.md lists codes, metrics and fields that exist."""

from __future__ import annotations

import dataclasses
import re

from llama_swap_config.gateway.consumer import Consumer
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text() for path in (ROOT / "in_pod" / "gateway").glob("*.py"))


def test_every_code_is_one_of_the_gateway_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", PAGE, re.MULTILINE)
    told = [(status, code) for status, row in rows for code in re.findall(r"`(\w+)`", row)]
    assert len(told) > 10
    assert [code for _, code in told if f'"{code}"' not in SOURCES] == []
    raised: dict[str, set[str]] = {}
    for status, code in re.findall(r'(\d{3}),\s+"(\w+)"', SOURCES):
        raised.setdefault(code, set()).add(status)
    assert [each for each in told if each[0] not in raised.get(each[1], {each[0]})] == []


def test_every_metric_is_one_of_the_gateway() -> None:
    metrics = set(re.findall(r"`(gateway_\w+)`", PAGE))
    assert len(metrics) == 6
    # prometheus_client adds the end to a counter's name.
    assert [name for name in metrics if f'"{name.removesuffix("_total")}"' not in SOURCES] == []


def test_every_field_of_a_consumer_is_explained_with_its_default() -> None:
    for field in dataclasses.fields(Consumer):
        (line,) = re.findall(rf"^ +{field.name}=.*$", PAGE, re.MULTILINE)
        if field.default is not dataclasses.MISSING:
            shown = "no limit" if field.default is None else field.default
            assert f"(default: {shown})" in line
