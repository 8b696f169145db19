"""The compared models: their shapes and settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gguf import GGMLQuantizationType as Kind

from benchmarks.vram.texts import TextShape, write_text
from benchmarks.vram.towers import ResamplerShape, TowerShape, write_tower
from in_pod.download.contract import LINK_NAMES
from llama_swap_config.model import KvCacheType, Model

_8B = TextShape(
    layers=36, width=4096, feed_forward=12288, heads=32, kv_heads=8, head_size=128,
    vocabulary=151936, kind=None,
)  # fmt: skip
_4B = replace(_8B, width=2560, feed_forward=9728, tied=True)
_TOWER_8B = TowerShape(
    layers=27, width=1152, feed_forward=4304, heads=16, output_width=4096, deepstack=(8, 16, 24)
)
_TOWER_4B = TowerShape(
    layers=24, width=1024, feed_forward=4096, heads=16, output_width=2560, deepstack=(5, 11, 17)
)
TEXTS = {
    "qwen3-8b": _8B,
    "qwen3-4b": _4B,
    "qwen3vl-8b": replace(_8B, vision=True, deepstack=3),
    "qwen3vl-4b": replace(_4B, vision=True, deepstack=3),
    "minicpm-v-4-5": replace(_8B, vocabulary=151748),
}
TOWERS = {"qwen3vl-8b": _TOWER_8B, "qwen3vl-4b": _TOWER_4B}
RESAMPLER = ResamplerShape(layers=27, width=1152, feed_forward=4304, heads=16, output_width=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One llama-server."""

    name: str
    """Of `TEXTS`."""
    model: Model
    tower: TowerShape | ResamplerShape | None

    @property
    def settings(self) -> str:
        """The settings that distinguish it from others of its name."""
        model = self.model
        parts = [f"{model.context} ctx", model.kv_cache_type_k, f"np {model.parallel_slots}"]
        if self.tower is not None:
            parts.append(f"mmproj {model.projector}, {model.image_max_tokens} tokens")
        return ", ".join([*parts, " ".join(model.extra_args)]).rstrip(", ")

    def write(self, folder: Path) -> None:
        """Write its files into an empty directory."""
        write_text(folder / LINK_NAMES["model"], TEXTS[self.name])
        if self.tower is not None:
            write_tower(folder / LINK_NAMES["mmproj"], self.tower)


def cases() -> tuple[Case, ...]:
    """List the cases."""
    listed = [
        _text(name, context=context, kv=kv)
        for name in ("qwen3-8b", "qwen3-4b")
        for context in (4096, 8192, 16384, 32768)
        for kv in _KV
    ]
    listed += [_text(name, slots=4) for name in ("qwen3-8b", "qwen3-4b")]
    listed += [_text("qwen3-8b", slots=4, extra=("--kv-unified",))]
    listed += [_text("qwen3-8b", extra=("-ub", str(size))) for size in (64, 256, 1024, 2048)]
    listed += [
        _vision(name, kind=kind, context=context)
        for name in TOWERS
        for kind in (Kind.F16, Kind.Q8_0)
        for context in (3072, 8192, 16384)
    ]
    listed += [_vision(name, image=2048, context=8192) for name in TOWERS]
    listed += [
        replace(_vision("minicpm-v-4-5", context=context), tower=RESAMPLER)
        for context in (3072, 8192)
    ]
    return tuple(listed)


_KV: tuple[KvCacheType, ...] = ("f16", "q8_0")


def _text(
    name: str,
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
    return Case(name=name, model=model, tower=None)


def _vision(name: str, *, kind: Kind = Kind.F16, context: int, image: int = 1024) -> Case:
    model = Model(
        id=name, repository="owner/name", quantisation="Q4_K_M",
        projector="Q8_0" if kind is Kind.Q8_0 else "F16",
        image_max_tokens=image, context=context,
    )  # fmt: skip
    tower = replace(TOWERS[name], kind=kind) if name in TOWERS else None
    return Case(name=name, model=model, tower=tower)
