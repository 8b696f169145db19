"""Several pools: which models, volumes, Jobs and objects each has, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, ProvisionedStorage
from llama_swap_config.declaration import Declaration
from llama_swap_config.errors import ConfigError
from stacks.pool import Pool
from stacks.pools import DeclaredPool, pools_of
from stacks.settings import Settings
from tests.declaration.consumers import CONSUMERS
from tests.declaration.pools import (
    HOMES,
    HOUSED,
    POOLED,
    POOLED_DECLARATION,
    POOLS,
    RTX3090,
    T4,
    TWO_CARDS,
)
from tests.declaration.settings import SETTINGS

Synth = Callable[..., dict[str, Any]]


def ids(pool: DeclaredPool) -> list[str]:
    return [locked.model.id for locked in pool.declaration.locked]


def of(name: str) -> DeclaredPool:
    return next(pool for pool in POOLS if pool.name == name)


def test_a_pool_serves_the_models_that_name_it() -> None:
    assert {pool.name: ids(pool) for pool in POOLS} == {
        pool.name: [model for model, homes in HOMES.items() if pool.name in homes]
        for pool in POOLS
    }


def test_one_pool_is_the_whole_declaration() -> None:
    declaration = Declaration.of(tuple(replace(model, pools=()) for model in HOUSED))

    (pool,) = pools_of(SETTINGS, declaration)

    assert pool.settings is SETTINGS
    assert pool.declaration is declaration
    assert pool.downloads == declaration.locked


def test_who_shares_the_first_volume_downloads_nothing() -> None:
    assert {pool.name: [it.model.id for it in pool.downloads] for pool in POOLS} == {
        T4: ["qwen3vl-8b", "qwen3vl-4b"],
        RTX3090: [],
        TWO_CARDS: ["minicpm-v-4-5", "qwen3vl-4b"],
    }
    assert of(RTX3090).settings.upkeep is None
    assert of(TWO_CARDS).settings.upkeep == POOLED.upkeep


def test_a_pool_has_its_own_namespace_volume_and_address() -> None:
    for attribute in ("namespace", "url", "state_url"):
        assert len({getattr(pool.settings, attribute) for pool in POOLS}) == len(POOLS)
    volumes = {pool.settings.storage.volume_name("models") for pool in POOLS}  # type: ignore[union-attr]
    assert len(volumes) == len(POOLS)


def test_a_pool_knows_the_consumers_of_its_models() -> None:
    assert {it.name: it.models for it in of(RTX3090).declaration.consumers} == {
        "photo-poster": ("qwen3vl-8b",),
        "n8n": ("qwen3vl-8b",),
    }


def test_no_object_of_the_first_pool_has_another_address(synth: Synth) -> None:
    """Otherwise a further pool would delete and create the first one's volume."""
    alone = synth(pools=())["resource"]
    pooled = synth(
        HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu, monitoring=POOLED.monitoring
    )["resource"]

    for kind, resources in alone.items():
        assert resources.keys() <= pooled[kind].keys()


def test_each_pool_has_its_own_deployment_on_its_own_node(synth: Synth) -> None:
    found = synth(HOUSED, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu)["resource"]
    deployments = [
        it
        for it in found["kubernetes_deployment_v1"].values()
        if it["metadata"]["name"] == "llama-swap"
    ]

    assert {
        it["metadata"]["namespace"]: it["spec"]["template"]["spec"]["node_selector"]
        for it in deployments
    } == {pool.settings.namespace: dict(pool.settings.gpu.node_selector) for pool in POOLS}
    jobs = found["kubernetes_job_v1"].values()
    assert {it["metadata"]["namespace"] for it in jobs} == {"llama-cpp", "llama-cpp-two-cards"}


def test_a_model_that_does_not_fit_is_refused_with_its_pool(synth: Synth) -> None:
    models = (replace(HOUSED[0], context=100_000), *HOUSED[1:])
    with pytest.raises(ConfigError) as refused:
        synth(models, pool=POOLED.pool, pools=POOLED.pools, gpu=POOLED.gpu)

    message = str(refused.value)
    assert message.startswith("pool 't4': model 'qwen3vl-8b': context is 100000; expected at most")
    assert message.endswith(" It fits pool 'rtx3090': pools=(\"rtx3090\",).")
    assert "\n" not in message


def pooled(*pools: Pool, **changes: Any) -> Settings:
    return replace(POOLED, pools=pools or POOLED.pools, **changes)


def cached(pool: Pool, node: str) -> Pool:
    cache = LocalSsdStorage(node=node, path="/srv/cache", volume="cache")
    return replace(pool, gpu=replace(pool.gpu, cuda_cache=cache))


SECOND, THIRD = POOLED.pools
DISK = LocalSsdStorage(node="k8s-node3", path="/srv/models")
MIG = replace(THIRD.gpu, resource="nvidia.com/mig-3g.20gb")
TENANT = GpuTenant(namespace="immich", name="immich-machine-learning")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            pooled(replace(SECOND, gpu=Gpu(product="Tesla-T4")), THIRD),
            "pool 'rtx3090': gpu.node_selector is {'nvidia.com/gpu.present': 'true'}; expected a "
            "label that the node of pool 't4' has with another value",
            id="without a node",
        ),
        pytest.param(
            pooled(replace(SECOND, gpu=POOLED.gpu), THIRD),
            "pool 'rtx3090': gpu.node_selector is {'kubernetes.io/hostname': 'k8s-node1'}; "
            "expected a label that the node of pool 't4' has with another value",
            id="two for one card",
        ),
        pytest.param(
            pooled(SECOND, replace(THIRD, name=RTX3090)),
            "pool 'rtx3090': name is 'rtx3090'; expected a name that no other pool has",
            id="one name twice",
        ),
        pytest.param(
            pooled(replace(SECOND, name=T4), THIRD),
            "pool 't4': name is 't4'; expected a name that no other pool has",
            id="the name of the first",
        ),
        pytest.param(
            pooled(SECOND),
            "model 'minicpm-v-4-5': pools is ('two-cards',); expected names of pools: t4, "
            "rtx3090. Replace or remove 'two-cards', or declare it in stacks/production.py",
            id="an only home removed",
        ),
        pytest.param(
            pooled(SECOND, THIRD, storage=ProvisionedStorage(access_mode="ReadWriteMany")),
            "pool 'rtx3090': storage is None; expected a storage of its own",
            id="a volume that nobody else mounts",
        ),
        pytest.param(
            pooled(replace(SECOND, storage=POOLED.storage), THIRD),
            "pool 'rtx3090': storage is ('192.168.1.127', '/srv/nfs-ssd/llamacpp'); expected "
            "another directory than that of pool 't4'",
            id="one export for two Jobs",
        ),
        pytest.param(
            pooled(THIRD, replace(THIRD, name=RTX3090, gpu=MIG)),
            "pool 'rtx3090': storage is ('k8s-node3', '/srv/models'); expected another directory "
            "than that of pool 'two-cards'",
            id="one disk for two Jobs",
        ),
        pytest.param(
            pooled(SECOND, replace(THIRD, storage=replace(DISK, volume="llama-cpp-models"))),
            "pool 'two-cards': storage.volume is 'llama-cpp-models'; expected a name that no "
            "volume of pool 't4' has",
            id="one volume twice",
        ),
        pytest.param(
            pooled(cached(SECOND, "k8s-node2"), cached(THIRD, "k8s-node3")),
            "pool 'two-cards': storage.volume is 'cache'; expected a name that no volume of pool "
            "'rtx3090' has",
            id="one cache twice",
        ),
        pytest.param(
            pooled(replace(SECOND, sharing=ByWindow(tenants=(TENANT,))), THIRD),
            "pool 'rtx3090': sharing.tenants is 'immich/immich-machine-learning'; expected a "
            "workload that pool 't4' does not name",
            id="one tenant on two cards",
        ),
        pytest.param(
            pooled(replace(SECOND, engine_build=11434), THIRD),
            "model 'qwen3vl-8b': pools is ('rtx3090', 't4'); expected pools with one engine_build",
            id="homes with two engines",
        ),
        pytest.param(
            pooled(SECOND, replace(THIRD, storage_size_gib=0)),
            "pool 'two-cards': storage_size_gib is 0; expected at least 1",
            id="a bad setting of a pool",
        ),
    ],
)
def test_pools_that_cannot_be_are_refused(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pools_of(settings, POOLED_DECLARATION)

    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_shared_volume_has_the_size_of_the_settings() -> None:
    with pytest.raises(ConfigError) as refused:
        replace(SECOND, storage_size_gib=20)

    assert str(refused.value).startswith(
        "pool 'rtx3090': storage_size_gib is 20; expected None without `storage`"
    )


def test_a_model_without_a_home_is_refused() -> None:
    models = (replace(HOUSED[0], pools=()), *HOUSED[1:])

    with pytest.raises(
        ConfigError, match=r"^model 'qwen3vl-8b': pools is \(\); expected its home"
    ):
        pools_of(POOLED, Declaration.of(models, consumers=CONSUMERS))


def test_a_pool_without_a_model_is_refused() -> None:
    models = tuple(replace(model, pools=(T4, TWO_CARDS)) for model in HOUSED)

    with pytest.raises(ConfigError, match=r"^pool 'rtx3090': models is \(\)"):
        pools_of(POOLED, Declaration.of(models, consumers=CONSUMERS))


def test_a_pool_may_have_the_name_of_a_construct(synth: Synth) -> None:
    """Of one stack, of an endpoint, or of what all pools are below."""
    for name in ("llama-swap", "gateway-files", "pools"):
        named = replace(SECOND, name=name)
        models = tuple(
            replace(model, pools=tuple(name if it == RTX3090 else it for it in model.pools))
            for model in HOUSED
        )
        found = synth(models, pool=T4, pools=(named, THIRD), gpu=POOLED.gpu)["resource"]
        assert len(found["kubernetes_namespace_v1"]) == 3
