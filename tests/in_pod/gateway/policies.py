"""Small policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from in_pod.gateway.policy import Card, Consumer, Endpoint, Model, Pictures, Policy


def consumer(*models: str, may_evict: bool = False, protected_s: int = 60) -> Consumer:
    return Consumer(
        models=models,
        requests_per_minute=None,
        parallel_requests=4,
        may_evict=may_evict,
        protected_s=protected_s,
        remote_images=False,
    )


def policy(
    vram_mib: Mapping[str, float],
    consumers: Mapping[str, Consumer],
    *,
    front_end: str = "llama-swap",
    sets: Sequence[tuple[str, ...]] = (),
    models_max: int = 1,
    usable_mib: int = 15_000,
    tenants: tuple[str, ...] = (),
    state_url: str | None = None,
) -> Policy:
    return Policy(
        litellm_version="1.108.7",
        allowed_origins=(),
        endpoint=Endpoint(
            url="http://endpoint:8080",
            front_end=front_end,
            timeout_s=600,
            state_url=state_url,
        ),
        card=Card(
            usable_mib=usable_mib,
            tenants=tenants,
            sets=tuple(sets),
            models_max=models_max,
        ),
        pictures=Pictures(number=8, bytes=20_000_000, pixels=50_000_000, internal_ranges=()),
        models={model: Model(aliases=(), vram_mib=mib) for model, mib in vram_mib.items()},
        consumers=consumers,
    )
