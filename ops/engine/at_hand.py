"""Ask an engine build that this machine has already, with the headers in its cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from llama_swap_config.lock.locked import LockedModel
from ops.engine.headers import NotAtHandError, cached_header, header_files
from ops.engine.measure import measure_context
from ops.machine import llama_build

WithFigures = Callable[[LockedModel], LockedModel]
"""Returns a model with the engine's figures for its context."""


@contextmanager
def engine_at_hand(locked: LockedModel, engine_build: int) -> Iterator[WithFigures]:
    """Yield a function that asks the engine about a model, whatever its flags are.

    Nothing is built, fetched or written.

    Args:
        locked: The model, with its locked files.
        engine_build: Build of llama.cpp.

    Raises:
        NotAtHandError: when this machine lacks that build or a header.
        OpsError: from that function, with the engine's own words when it refuses the model.
    """
    if not llama_build.is_built(engine_build):
        raise NotAtHandError(f"llama.cpp b{engine_build} is not built on this machine")
    programs = llama_build.built(lambda _line: None, engine_build)
    with header_files(locked, cached_header) as folder:

        def with_figures(asked: LockedModel) -> LockedModel:
            measured = measure_context(asked, folder, programs=programs, engine_build=engine_build)
            return replace(asked, memory=(measured,))

        yield with_figures
