"""The compared llama-servers: shapes and settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.vram.holes import write_holes
from benchmarks.vram.shapes.published import PUBLISHED, WITH_FORMULA
from benchmarks.vram.shapes.qwen import QWEN3_4B, QWEN3_8B
from benchmarks.vram.shapes.shape import Published, Shape
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.model import KvCacheType, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One llama-server."""

    text: Shape
    tower: Shape | None
    tower_type: Literal["F16", "Q8_0"] = "F16"
    """Type of the projector's matrices (default: F16)."""
    model: Model
    """Its settings; its id is the name of the shape."""
    has_formula: bool
    """Whether the budget's formula is proven for it."""

    @property
    def settings(self) -> str:
        """The settings that distinguish it from others of its name."""
        model = self.model
        parts = [f"{model.context} ctx", model.kv_cache_type_k, f"np {model.parallel_slots}"]
        if self.tower is not None:
            parts.append(f"mmproj {self.tower_type}, {model.image_max_tokens} tokens")
        return ", ".join([*parts, " ".join(model.extra_args)]).rstrip(", ")

    @property
    def image_px(self) -> int:
        """Side of the largest square image; 0 where the projector alone decides."""
        merge_key = "vision.spatial_merge_size"
        if self.tower is None or merge_key not in self.tower.keys:
            return 0
        token_px = self.tower.number("vision.patch_size") * self.tower.number(merge_key)
        return math.isqrt(self.model.image_max_tokens or 0) * token_px

    def write(self, folder: Path) -> None:
        """Write its files into an empty directory."""
        write_holes(folder / LINK_NAMES["model"], self.text, "Q4_K_M")
        if self.tower is not None:
            write_holes(folder / LINK_NAMES["mmproj"], self.tower, self.tower_type)


def cases() -> tuple[Case, ...]:
    """List the cases."""
    texts = {"qwen3-8b": QWEN3_8B, "qwen3-4b": QWEN3_4B}
    listed = [
        _text(name, text, context=context, kv=kv)
        for name, text in texts.items()
        for context in (4096, 8192, 16384, 32768)
        for kv in _KV
    ]
    listed += [_text(name, text, slots=4) for name, text in texts.items()]
    listed += [_text("qwen3-8b", QWEN3_8B, slots=4, extra=("--kv-unified",))]
    listed += [
        _text("qwen3-8b", QWEN3_8B, extra=("-ub", str(size))) for size in (64, 256, 1024, 2048)
    ]
    listed += [
        vision_case(published, context=context)
        for published in PUBLISHED
        for context in (3072, 8192, 32768)
        if context <= published.context
    ]
    for published in WITH_FORMULA[:2]:
        listed += [vision_case(published, tower_type="Q8_0", context=3072)]
        listed += [vision_case(published, image=2048, context=8192)]
    return tuple(listed)


_KV: tuple[KvCacheType, ...] = ("f16", "q8_0")


def _text(
    name: str,
    text: Shape,
    *,
    context: int = 8192,
    kv: KvCacheType = "f16",
    slots: int = 1,
    extra: tuple[str, ...] = (),
) -> Case:
    model = Model(
        id=name, repository="owner/name", quantisation="Q4_K_M", projector=None,
        image_max_tokens=None, context=context, kv_cache_type_k=kv, kv_cache_type_v=kv,
        parallel_slots=slots, extra_args=extra,
    )  # fmt: skip
    return Case(text=text, tower=None, model=model, has_formula=True)


def vision_case(
    published: Published,
    *,
    context: int,
    tower_type: Literal["F16", "Q8_0"] = "F16",
    image: int = 1024,
) -> Case:
    """Return a published vision model with its settings."""
    model = Model(
        id=published.name, repository="owner/name", quantisation="Q4_K_M", projector=tower_type,
        image_max_tokens=image, context=context,
    )  # fmt: skip
    return Case(
        text=published.text, tower=published.tower, tower_type=tower_type, model=model,
        has_formula=published in WITH_FORMULA,
    )  # fmt: skip
