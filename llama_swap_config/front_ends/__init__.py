"""The two programs that can stand in front of the models: each is one module and one object."""

from __future__ import annotations

from collections.abc import Mapping

from llama_swap_config.front_ends.front_end import FrontEnd, FrontEndName
from llama_swap_config.front_ends.llama_swap import LLAMA_SWAP
from llama_swap_config.front_ends.router import ROUTER

FRONT_ENDS: Mapping[FrontEndName, FrontEnd] = {each.name: each for each in (LLAMA_SWAP, ROUTER)}
"""In the order in which a running endpoint is asked which one it is: llama-swap also answers what
the router does."""
