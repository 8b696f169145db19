"""Schedules of a CronJob; tests/real/embedded asks the API server about the same ones."""

from __future__ import annotations

import pytest

from llama_swap_config.cluster.cron import is_schedule
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.errors import ConfigError
from tests.schedules import ACCEPTED, REFUSED


@pytest.mark.parametrize("schedule", ACCEPTED)
def test_a_schedule_is_accepted(schedule: str) -> None:
    assert is_schedule(schedule)


@pytest.mark.parametrize("schedule", REFUSED)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigError, match=r"settings: upkeep\.schedule is .*; expected five fie"):
        Upkeep(schedule=schedule)
