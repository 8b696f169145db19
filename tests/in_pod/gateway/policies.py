"""Small pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from in_pod.gateway.policy import Card, Combination, Consumer, Endpoint, Pool


def consumer(*models: str, may_evict: bool = False, protected_s: int = 60) -> Consumer:
    return Consumer(
        models=models,
        requests_per_minute=None,
        parallel_requests=4,
        may_evict=may_evict,
        protected_s=protected_s,
        remote_images=False,
    )


def pool(
    vram_mib: Mapping[str, float | Mapping[int, float]],
    consumers: Mapping[str, Consumer],
    *,
    front_end: str = "llama-swap",
    sets: Sequence[tuple[str, ...]] = (),
    models_max: int = 1,
    usable_mib: int = 15_000,
    tenants: tuple[str, ...] = (),
    state_url: str | None = None,
    name: str = "main",
    cards: int = 1,
    combinations: Sequence[Combination] = (),
) -> Pool:
    return Pool(
        name=name,
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
            count=cards,
            combinations=tuple(combinations),
        ),
        vram_mib={
            model: mib if isinstance(mib, Mapping) else {0: mib} for model, mib in vram_mib.items()
        },
        consumers=consumers,
    )
