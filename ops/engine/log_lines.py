"""Lines of llama-server's log that name buffers on the card, in MiB."""

from __future__ import annotations

import re

CARD = r"RPC\d+\[[^]]*\]"
"""The ggml-rpc-server, as the log calls it."""
CACHE = re.compile(r"llama_(?:kv_cache\w*|memory_\w+): size = +([\d.]+) MiB")
"""A context has several: with and without a sliding window, and recurrent states."""
COMPUTE = re.compile(rf"sched_reserve: +{CARD} compute buffer size = +([\d.]+) MiB")
NEW_CONTEXT = "constructing llama_context"
"""The caches and buffers before it are of an earlier attempt."""
SUMS = re.compile(r"memory_breakdown_print: \|   - RPC.*\( *\d+ = +(\d+) \+ +(\d+) \+ +(\d+)\)")
"""The engine's own sums of weights, caches and compute, rounded down to MiB."""
PROJECTOR = re.compile(r"adding ([\d.]+) MiB to fit_params_target for device RPC")
"""A projector with its compute buffer."""
