"""The types of the settings: whose values they hold, and where those are."""

from __future__ import annotations

import importlib

import pytest

from stacks import settings


def test_an_import_of_production_from_its_old_place_names_the_new_one() -> None:
    with pytest.raises(ImportError) as caught:
        exec("from stacks.settings import PRODUCTION", {})
    assert str(caught.value) == (
        "stacks.settings has no PRODUCTION any more; write "
        "`from stacks.production import PRODUCTION`"
    )
    assert importlib.import_module("stacks.production").PRODUCTION


def test_another_name_is_not_there_as_in_any_module() -> None:
    assert not hasattr(settings, "STAGING")
