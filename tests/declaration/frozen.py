"""The tests' frozen declaration: registry and lock."""

from __future__ import annotations

from pathlib import Path

from llama_swap_config.declaration import Declaration
from tests.declaration.registry import REGISTRY, RESIDENCY

LOCK_PATH = Path(__file__).with_name("models.lock.json")
DECLARATION = Declaration.of(REGISTRY, RESIDENCY, LOCK_PATH)
