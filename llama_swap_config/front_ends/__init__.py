"""The two front ends, each a module with one object."""

from __future__ import annotations

from collections.abc import Mapping

from llama_swap_config.front_ends.front_end import FrontEnd, FrontEndName
from llama_swap_config.front_ends.llama_swap import LLAMA_SWAP
from llama_swap_config.front_ends.router import ROUTER

FRONT_ENDS: Mapping[FrontEndName, FrontEnd] = {
    front_end.name: front_end for front_end in (LLAMA_SWAP, ROUTER)
}
"""In the order in which a running endpoint is probed: llama-swap also answers the router's
paths."""
