"""The declaration of the tree that is tested: the frozen registry with its lock."""

from __future__ import annotations

from llama_swap_config.declaration import load

DECLARATION = load()
