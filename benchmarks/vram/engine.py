"""Read what a real llama-server reserves on its cards, on a machine without one.

A ggml-rpc-server poses as a card: llama.cpp places layers, cache and buffers there as on a GPU,
and logs their sizes. They exclude what CUDA itself takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from in_pod.download.contract import LINK_NAMES
from llama_swap_config.fit.vram import MIB, Vram
from llama_swap_config.model import Model
from ops.engine.card import cards
from ops.engine.log_lines import (
    CACHE,
    CARD,
    COMPUTE,
    NEW_CONTEXT,
    PROJECTOR,
    SUMS,
    WEIGHTS,
)
from ops.engine.promised import server_words
from ops.engine.until import run_until
from ops.errors import OpsError
from ops.gguf.table import FileSource, read_table

Stage = Literal["loaded", "promised"]
"""`loaded`: the server is ready. `promised`: what `--fit` computes before it loads weights, in a
second for a model of any size."""

_ON_CARD = {
    "weights": WEIGHTS,
    "compute": COMPUTE,
    "vision_compute": re.compile(
        rf"reserve_compute_meta: +{CARD} compute buffer size = +([\d.]+) MiB"
    ),
}
"""Lines with a card's address and MiB."""
_LINES = {
    "projector": re.compile(r"load_hparams: model size: +([\d.]+) MiB"),
    "promised": PROJECTOR,
}
"""Of the first card; `promised` is the projector and its compute buffer together."""
_CACHE_ON_CARD = re.compile(rf"llama_\w+: +{CARD} (?:KV|RS) buffer size = +([\d.]+) MiB")
_SUMMED = ("weights", "kv_cache", "compute")
_LISTENS = re.compile(r"llama_server: listening on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """MiB of the card, named as in llama_swap_config.fit.vram."""

    weights: float
    kv_cache: float
    """All caches, also the states of recurrent layers."""
    compute: float
    projector: float
    vision_compute: float

    @classmethod
    def of(cls, vram: Vram) -> Reserved:
        """Take the terms that the engine logs."""
        return cls(**{field.name: getattr(vram, field.name) for field in fields(cls)})

    @property
    def total_mib(self) -> float:
        """All of them together."""
        return float(sum(astuple(self)))


def reserved(programs: Path, model: Model, folder: Path, *, stage: Stage = "loaded") -> Reserved:
    """Start llama-server as the endpoint would, and read what it reserves on its only card.

    Args:
        programs: The directory of llama-server and ggml-rpc-server.
        model: Its settings.
        folder: Holds `model.gguf` and, where the model has a projector, `mmproj.gguf`.
        stage: How far the server starts (default: loaded).

    Returns:
        MiB to two decimals; weights that this machine has not the memory for to whole MiB.

    Raises:
        OpsError: when it stops before it has logged its sizes, or takes longer than a minute.
    """
    words = server_words(model, folder, LINK_NAMES["model"])
    with cards(programs, 1) as addresses:
        command = _command(programs, words, addresses)
        command += ["-fit", "on"] if stage == "promised" else []
        (sizes,) = _read(command, stage, addresses)
    projector = sizes.get("projector", 0.0)
    if stage == "promised" and model.projector is not None:
        if "promised" not in sizes:
            # It continues without a projector that it cannot read.
            raise OpsError("llama-server did not log what the projector takes")
        table = read_table(FileSource(path=folder / LINK_NAMES["mmproj"]))
        projector = sum(tensor.size_bytes for tensor in table.tensors.values()) / MIB
        sizes["vision_compute"] = sizes["promised"] - projector
    return _reserved(sizes, projector)


def loaded_on_cards(programs: Path, model: Model, folder: Path) -> tuple[Reserved, ...]:
    """Load a model over its cards, and read what it reserves on each.

    Args and raises: as `reserved`.
    """
    words = server_words(model, folder, LINK_NAMES["model"])
    with cards(programs, len(model.cards)) as addresses:
        found = _read(_command(programs, words, addresses), "loaded", addresses)
    return tuple(_reserved(sizes, sizes.get("projector", 0.0)) for sizes in found)


def _command(programs: Path, words: Sequence[str], addresses: Sequence[str]) -> list[str]:
    command = [str(programs / "llama-server"), "--port", "0", *words]
    # After the endpoint's own options, because the last one of a kind counts.
    return [*command, "--rpc", ",".join(addresses), "-lv", "5"]


def _reserved(sizes: Mapping[str, float], projector: float) -> Reserved:
    return Reserved(
        weights=sizes["weights"],
        kv_cache=sizes["kv_cache"],
        compute=sizes["compute"],
        projector=projector,
        vision_compute=sizes.get("vision_compute", 0.0),
    )


def _read(
    command: Sequence[str], stage: Stage, addresses: Sequence[str]
) -> tuple[dict[str, float], ...]:
    """Run llama-server until it has logged all sizes, then kill it: its weights are empty."""
    sizes: tuple[dict[str, float], ...] = tuple({} for _ in addresses)
    first = sizes[0]
    sums: dict[str, int] = {}
    last, is_over = "", False

    def read(line: str) -> bool:
        nonlocal last, is_over, sums
        last = line.strip() or last
        if NEW_CONTEXT in line:
            for on_card in sizes:
                on_card["kv_cache"] = 0.0
        if len(sizes) == 1 and (cache := CACHE.search(line)):
            first["kv_cache"] += float(cache[1])
        if len(sizes) > 1 and (cache := _CACHE_ON_CARD.search(line)):
            sizes[addresses.index(cache[1])]["kv_cache"] += float(cache[2])
        if whole := SUMS.search(line):
            sums = dict(zip(_SUMMED, map(int, whole.groups()[1:]), strict=True))
        for name, pattern in _ON_CARD.items():
            if match := pattern.search(line):
                sizes[addresses.index(match[1])][name] = float(match[2])
        for name, pattern in _LINES.items():
            if match := pattern.search(line):
                first[name] = float(match[1])
        # Without weights, --fit first logs each of their buffers as 0.
        is_over = (
            first.get("weights", 0) > 0
            if stage == "promised"
            else _LISTENS.search(line) is not None
        )
        return is_over

    run_until(command, read)
    if stage == "promised" and not is_over and sums:
        # The model is larger than this machine's memory.
        first["weights"], is_over = float(sums["weights"]), True
    if not is_over or any(not set(_SUMMED) <= set(on_card) for on_card in sizes):
        raise OpsError(f"llama-server did not log what it reserves ({last[:300]})")
    if stage == "promised":
        _check(first, sums)
    return sizes


def _check(sizes: Mapping[str, float], sums: Mapping[str, int]) -> None:
    """Compare with llama-server's sums: another architecture may log another kind of buffer."""
    for name in _SUMMED:
        if name not in sums or not -0.01 < sizes[name] - sums[name] < 1.01:
            raise OpsError(
                f"llama-server logs buffers of {sizes[name]:.2f} MiB for {name}; its sum is "
                f"{sums.get(name, 'missing')}. Read the lines of the missing ones too."
            )
