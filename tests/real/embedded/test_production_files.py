"""Three production files, deployed over each other in any order: this cluster's and two others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import Gpu, Taint
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, ProvisionedStorage
from llama_swap_config.fit.card import CoTenant
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.commands.serve import run as serve
from ops.commands.up import run as run_up
from ops.embedded.cluster import EmbeddedCluster
from stacks.settings import Settings
from tests.declaration.settings import BARE, EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY
from tests.real.embedded.production_file import declare_production
from tests.real.window.shared_card import Card
from tests.real.window.window_process import ML

pytestmark = pytest.mark.usefixtures("running_provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A production file, and what becomes of it."""

    settings: Settings
    node: str
    product: str
    slices: str
    taints: tuple[str, ...]
    runtime_class: str | None = None
    stand_ins: tuple[str, ...]
    """The GPU's other users, with their replicas."""
    window: str = ""
    """Why there is none."""


FILES = {
    "this cluster": File(
        settings=SETTINGS,
        node="k8s-node1",
        product="Tesla-T4",
        slices="1",
        taints=("nvidia.com/gpu:NoSchedule",),
        stand_ins=("immich/immich-machine-learning 0",),
    ),
    "an RTX 3090 alone on another node, with a local volume": File(
        settings=replace(
            BARE,
            storage=LocalSsdStorage(node="gpu-box", path="/srv/models"),
            gpu=Gpu(
                product="NVIDIA-GeForce-RTX-3090",
                node_selector={"kubernetes.io/hostname": "gpu-box"},
                taints=(
                    Taint(key="nvidia.com/gpu", value="present"),
                    Taint(key="dedicated", value="llm", effect="NoExecute"),
                ),
                runtime_class="nvidia",
            ),
            sharing=Alone(),
        ),
        node="gpu-box",
        product="NVIDIA-GeForce-RTX-3090",
        slices="1",
        taints=("nvidia.com/gpu=present:NoSchedule", "dedicated=llm:NoExecute"),
        runtime_class="nvidia",
        stand_ins=(),
        window="nothing else uses the card, so there is nothing to borrow",
    ),
    "a T4 alone, with a volume that the cluster makes and a gateway": File(
        settings=replace(
            BARE,
            storage=ProvisionedStorage(storage_class="longhorn"),
            sharing=Alone(),
            gateway=GATEWAY,
            **WITH_KEY,
        ),
        node="k8s-node1",
        product="Tesla-T4",
        slices="1",
        taints=("nvidia.com/gpu:NoSchedule",),
        stand_ins=(),
        window="nothing else uses the card, so there is nothing to borrow",
    ),
    "two slices of a card that is shared at once, behind a gateway that runs already": File(
        settings=replace(
            BARE,
            namespace="vision",
            gpu=Gpu(product="Tesla-T4", floor_mib=512),
            sharing=AtOnce(co_tenants=(CoTenant(name="Immich ML", peak_mib=6750),), slices=2),
            gateway=EXISTING_GATEWAY,
            **WITH_KEY,
        ),
        node="k8s-node1",
        product="Tesla-T4-SHARED",
        slices="2",
        taints=("nvidia.com/gpu:NoSchedule",),
        stand_ins=("co-tenants/co-tenant-1 1",),
        window="Immich ML and the endpoint run on the card at the same time",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def served_apart(cluster: EmbeddedCluster) -> Iterator[None]:
    """End the front end that the tests start one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment().items():
            patch.setenv(name, value)
        for name in ("LLAMA_API_KEY", "IMMICH_API_KEY"):
            patch.delenv(name, raising=False)
        yield
        serve.stop(cluster.state_dir)


@pytest.mark.parametrize("file", FILES.values(), ids=FILES.keys())
def test_a_production_file_is_deployed_fits_answers_and_lends_the_card_as_it_says(
    file: File,
    cluster: EmbeddedCluster,
    api: KubeApi,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = file.settings
    declare_production(monkeypatch, synth, settings)

    deployed = run_up.up(cluster.state_dir, settings=settings, say=print)

    assert deployed.way.endswith("a new plan finds no changes")
    assert deployed.outcome.of("waits", "failed") == ()
    assert f"Running on {file.node}" in {each.state for each in deployed.outcome.objects}
    assert_node(api, file)
    assert stand_ins(api, settings.namespace) == file.stand_ins
    written = cluster.state_dir / "cdktf.out" / "stacks" / "llama-cpp" / "cdk.tf.json"
    assert "prevent_destroy" not in written.read_text(encoding="utf-8")
    assert "ignore_changes" in written.read_text(encoding="utf-8")
    if deployed.served.key is not None:
        monkeypatch.setenv("LLAMA_API_KEY", deployed.served.key.read())

    assert main(["fit"]) == 0
    assert main(["smoke", "--url", deployed.served.url, "--random-weights"]) == 0
    capfd.readouterr()
    if isinstance(settings.sharing, ByWindow):
        assert_window(api)
    else:
        assert main(["window", "--for", "10s", "--", "true"]) == 1
        assert file.window in capfd.readouterr().err


def assert_node(api: KubeApi, file: File) -> None:
    (node,) = (api.get("/api/v1/nodes") or {})["items"]
    assert node["metadata"]["name"] == file.node
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == file.product
    assert file.settings.gpu.node_selector.items() <= labels.items()
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == file.slices
    taints = [
        taint["key"] + (f"={taint['value']}" if "value" in taint else "") + f":{taint['effect']}"
        for taint in node["spec"]["taints"]
    ]
    assert tuple(taints) == file.taints
    classes = (api.get("/apis/node.k8s.io/v1/runtimeclasses") or {})["items"]
    names = [made["metadata"]["name"] for made in classes]
    assert names == ([file.runtime_class] if file.runtime_class else [])


def stand_ins(api: KubeApi, namespace: str) -> tuple[str, ...]:
    items = (api.get("/apis/apps/v1/deployments") or {})["items"]
    return tuple(
        f"{item['metadata']['namespace']}/{item['metadata']['name']} {item['spec']['replicas']}"
        for item in items
        if item["metadata"]["namespace"] != namespace
    )


def assert_window(api: KubeApi) -> None:
    """The tenant has the card, lends it for a command, and has it again."""
    card = Card(api)
    card.scale(ML, 1)
    card.until(card.as_at_start)
    asks = (
        "import os, urllib.request as r; o = r.build_opener(r.ProxyHandler({}));"
        "o.open(os.environ['OPENAI_BASE_URL'] + '/models').read()"
    )
    assert main(["window", "--for", "60s", "--", sys.executable, "-c", asks]) == 0
    card.until(card.as_at_start)
