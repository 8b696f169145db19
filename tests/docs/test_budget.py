"""docs/budget.md says what the code says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from llama_swap_config.fit.budget import check_budget
from llama_swap_config.fit.card import ON_THE_NODE, USABLE_MIB
from llama_swap_config.fit.residency import ONE_AT_A_TIME
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from ops.commands.fit import pools_text
from ops.commands.fit.pools import PoolsFit, fit_all
from ops.commands.fit.run import fit
from ops.commands.fit.text import as_markdown
from ops.commands.fit.what_if import WhatIf
from tests.conftest import ROOT
from tests.declaration.pools import HOUSED, POOLED
from tests.declaration.settings import SETTINGS
from tests.llama_swap_config.fit.shapes import QWEN3VL_8B, changed

TEXT = (ROOT / "docs" / "budget.md").read_text()
IN_ONE_LINE = " ".join(TEXT.split())


def test_the_table_is_that_of_the_registry(locked: tuple[LockedModel, ...]) -> None:
    found = as_markdown(fit(locked, ONE_AT_A_TIME, SETTINGS.node))
    rows = [line for line in found.splitlines() if line.startswith("| ")]
    of_models = [row for row in rows if row.count("|") == 11]
    assert len(of_models) == 1 + len(locked)
    for row in of_models:
        assert row in TEXT


def test_the_error_is_the_one_that_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        check_budget((changed(QWEN3VL_8B, context=65536),), ONE_AT_A_TIME, SETTINGS.node)
    assert f"error: {caught.value}" in IN_ONE_LINE


def test_the_known_cards_are_those_of_the_code() -> None:
    table = TEXT.split("| `gpu.product` | MiB |\n|---|---:|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| {name} | {mib} |" for name, mib in USABLE_MIB.items()]
    assert f"    {ON_THE_NODE}\n" in TEXT


def test_the_pools_are_shown_as_the_command_shows_them() -> None:
    rows = pools_text.as_markdown(of_pools(HOUSED)).splitlines()
    table = [row for row in rows if row.startswith("|")]
    assert "\n".join(table) in TEXT
    longer = replace(HOUSED[0], context=65536)
    assert f"error: {of_pools((longer, *HOUSED[1:])).problem}" in IN_ONE_LINE
    homeless = replace(HOUSED[2], pools=())
    proposed = pools_text.as_markdown(of_pools((*HOUSED[:2], homeless))).splitlines()
    (line,) = (line for line in proposed if line.startswith("  qwen3vl-4b: "))
    assert f"\n    {line}\n" in TEXT


def of_pools(models: tuple[Model, ...]) -> PoolsFit:
    return fit_all(POOLED, Declaration.of(models), WhatIf(), propose=True)
