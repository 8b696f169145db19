"""Load this cluster's settings."""

from __future__ import annotations

from typing import Any, cast

from llama_swap_config.edited_file import import_edited
from llama_swap_config.typed import require_types
from stacks.settings import Settings


def load_settings() -> Settings:
    """Load the settings of stacks/production.py.

    Raises:
        ConfigError: when they are wrong, or Python refuses the file; the message is one line.
    """
    settings: Any = getattr(import_edited("stacks.production"), "PRODUCTION", None)
    require_types("settings", {"PRODUCTION": settings}, {"PRODUCTION": Settings})
    return cast(Settings, settings)
