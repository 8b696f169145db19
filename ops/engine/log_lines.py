"""Lines of llama-server's log that name buffers on the cards, in MiB.

The buffers of every ggml-rpc-server are named RPC0 with its address, and its device by its number.
"""

from __future__ import annotations

import re

CARD = r"RPC\d+\[([^]]*)\]"
"""A ggml-rpc-server, as the log calls its buffers; the group is its address."""
WEIGHTS = re.compile(rf"load_tensors: +{CARD} model buffer size = +([\d.]+) MiB")
CACHED_LAYER = re.compile(r"layer +\d+: dev = RPC(\d+)")
"""A layer's cache and its card; the lines before each `CACHE`."""
CACHE = re.compile(r"llama_(?:kv_cache\w*|memory_\w+): size = +([\d.]+) MiB")
"""A context has several: with and without a sliding window, and recurrent states."""
COMPUTE = re.compile(rf"sched_reserve: +{CARD} compute buffer size = +([\d.]+) MiB")
NEW_CONTEXT = "constructing llama_context"
"""The caches and buffers before it are of an earlier attempt."""
SUMS = re.compile(
    r"memory_breakdown_print: \|   - RPC(\d+).*\( *\d+ = +(\d+) \+ +(\d+) \+ +(\d+)\)"
)
"""The engine's own sums of a card's weights, caches and compute, rounded down to MiB."""
PROJECTOR = re.compile(r"adding ([\d.]+) MiB to fit_params_target for device RPC(\d+)")
"""A projector with its compute buffer."""
