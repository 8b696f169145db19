"""The exporter, a front end that misbehaves on demand, and what both say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from in_pod.exporter.plan import Plan, PlannedModel
from tests.fakes.llama_swap_server import FakeLlamaSwap, fake_llama_swap


@pytest.fixture
def plan() -> Plan:
    return Plan(
        front_end="llama-swap",
        engine_build=10524,
        config_sha256="0" * 64,
        models=(
            PlannedModel(id="eyes", aliases=(), vram_mib=6744.0),
            PlannedModel(id="another", aliases=("second-name",), vram_mib=4274.0),
        ),
    )


@pytest.fixture
def two_cards(plan: Plan) -> Plan:
    """The plan with one model over two cards, and the other on the second."""
    eyes, another = plan.models
    return replace(
        plan,
        models=(
            replace(eyes, vram_mib_by_card={"0": 5000.0, "1": 1744.0}),
            replace(another, vram_mib_by_card={"1": 4274.0}),
        ),
        cards=2,
    )


@pytest.fixture
def front_end() -> Iterator[FakeLlamaSwap]:
    with fake_llama_swap() as server:
        yield server
