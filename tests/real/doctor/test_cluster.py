"""What `doctor --cluster` says of a cluster before a deploy, one fault at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import PRODUCT, PodResources, Taint
from llama_swap_config.cluster.sharing import AtOnce, ByWindow
from llama_swap_config.cluster.storage import LocalSsdStorage, ProvisionedStorage
from llama_swap_config.fit.card import ON_THE_NODE, CoTenant
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from ops.cluster.api import KubeApi
from ops.cluster.server_side_apply import Cluster
from ops.terraform.manifests import manifests
from tests.declaration.consumers import CONSUMERS
from tests.declaration.resources import RESOURCES
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY
from tests.real.doctor.conftest import Doctor, obey
from tests.real.embedded.shared_cluster import SharedCluster

GPU = SETTINGS.gpu
COUNT = len(RESOURCES)
OURS = {"app.kubernetes.io/part-of": "llama-cpp"}
Node = Callable[..., None]
Put = Callable[[str, dict[str, Any]], None]
NAMESPACES, VOLUMES = "/api/v1/namespaces", "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"


def runtime_class(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": name,
    }


def storage_class(name: str, provisioner: str, *, is_default: bool = False) -> dict[str, Any]:
    default = {"storageclass.kubernetes.io/is-default-class": str(is_default).lower()}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": default},
        "provisioner": provisioner,
    }


def volume(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "llama-cpp-models", "labels": OURS},
        "spec": {
            "capacity": {"storage": "30Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "llama-cpp-models",
            "nfs": {"server": "127.0.0.1", "path": "/srv/models"},
        }
        | spec,
    }


def namespace(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels or {}},
    }


def test_before_the_first_deploy_nothing_blocks_it(doctor: Doctor) -> None:
    result = doctor.run()
    assert (result.code, result.error) == (0, "")
    assert result.verdicts("hint", "not known", "blocks") == ["client namespaces"]
    assert result.checks["client namespaces"]["found"] == (
        "missing: photo-poster, home-assistant, n8n, monitoring"
    )
    assert result.checks["account"]["found"] == "admin"
    assert result.checks["names of the objects"]["found"] == f"0 of {COUNT} are there"


def test_nothing_is_changed(doctor: Doctor, api: KubeApi) -> None:
    def version() -> str:
        listed = api.get("/api/v1/configmaps") or {}
        return str(sorted(item["metadata"]["uid"] for item in listed["items"]))

    before = version(), (api.get(NAMESPACES) or {})["items"]
    doctor.run()
    assert (version(), (api.get(NAMESPACES) or {})["items"]) == before


def test_with_a_whole_stack_everything_is_ok(
    doctor: Doctor, kube: Cluster, put: Put, shared_cluster: SharedCluster
) -> None:
    for name in SETTINGS.admitted_namespaces(CONSUMERS):
        put(NAMESPACES, namespace(name))
    kube.apply(manifests(doctor.synth(storage=doctor.nfs)))
    try:
        result = doctor.run()
        assert result.verdicts("ok") == list(result.checks)
        found = result.checks["names of the objects"]["found"]
        assert found == f"{COUNT} of {COUNT} are there"
        assert result.checks["namespace llama-cpp"]["found"] == "there"
    finally:
        shared_cluster.empty()


def test_a_namespace_that_is_being_deleted(doctor: Doctor, put: Put, api: KubeApi) -> None:
    kept = namespace("llama-cpp", OURS)
    # Without it the namespace may be gone before it is looked at.
    kept["metadata"]["finalizers"] = ["example.org/kept"]
    put(NAMESPACES, kept)
    path = f"{NAMESPACES}/llama-cpp"
    api.request("DELETE", path)
    try:
        assert doctor.run().blocks("namespace llama-cpp")["found"] == "Terminating"
    finally:
        api.request("PATCH", path, {"metadata": {"finalizers": None}})


def test_a_node_without_the_label_is_named_with_what_it_lacks(doctor: Doctor, node: Node) -> None:
    node(metadata={"labels": {"nvidia.com/gpu.present": None}})
    check = doctor.run().blocks("GPU node")
    assert check["found"] == "k8s-node1 has a GPU and lacks nvidia.com/gpu.present=true"
    obey(check)
    assert doctor.run().code == 0


def test_a_cluster_without_a_gpu(doctor: Doctor, node: Node) -> None:
    node(
        metadata={"labels": {"nvidia.com/gpu.present": None, PRODUCT: None}},
        status={"allocatable": {GPU.resource: None}, "capacity": {GPU.resource: None}},
    )
    check = doctor.run().blocks("GPU node")
    assert check["found"] == "none of 1 nodes has these labels or a GPU"
    assert "Install NVIDIA's device plugin" in check["remedy"]


@pytest.mark.parametrize("count", ["0", None])
def test_a_node_that_hands_out_no_card(doctor: Doctor, node: Node, count: str | None) -> None:
    node(status={"allocatable": {GPU.resource: count}})
    check = doctor.run().blocks("GPUs of the node")
    assert check["found"] == "0 nvidia.com/gpu"
    assert check["remedy"].startswith("Install NVIDIA's device plugin: no DaemonSet")


def test_a_device_plugin_that_is_not_ready_is_named(doctor: Doctor, node: Node, put: Put) -> None:
    node(status={"allocatable": {GPU.resource: "0"}})
    labels = {"name": "plugin"}
    container = {"name": "plugin", "image": "nvidia/k8s-device-plugin"}
    put(
        "/apis/apps/v1/namespaces/kube-system/daemonsets",
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "nvidia-device-plugin-daemonset"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    )
    remedy = doctor.run().blocks("GPUs of the node")["remedy"]
    assert "DaemonSet kube-system/nvidia-device-plugin-daemonset is ready on 0 of" in remedy


def test_a_card_under_another_resource_is_named(doctor: Doctor, node: Node) -> None:
    node(status={"allocatable": {GPU.resource: "0", f"{GPU.resource}.shared": "4"}})
    remedy = doctor.run().blocks("GPUs of the node")["remedy"]
    assert 'set gpu.resource="nvidia.com/gpu.shared"' in remedy


def test_a_taint_is_printed_as_the_settings_take_it(doctor: Doctor, node: Node) -> None:
    taint = {"key": "dedicated", "value": "ml", "effect": "NoExecute"}
    tolerated = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
    node(spec={"taints": [tolerated, taint, {"key": "soft", "effect": "PreferNoSchedule"}]})
    check = doctor.run().blocks("taints of the node")
    assert check["found"] == "nvidia.com/gpu:NoSchedule, dedicated:NoExecute"
    assert check["wanted"] == "only nvidia.com/gpu"
    code = check["remedy"].removeprefix("Set taints=").partition(" of gpu")[0]
    doctor.declare(gpu=replace(GPU, taints=eval(code, {"Taint": Taint})))
    result = doctor.run()
    assert result.code == 0
    assert result.checks["taints of the node"]["wanted"] == "only nvidia.com/gpu, dedicated"


def test_a_node_without_taints(doctor: Doctor, node: Node) -> None:
    node(spec={"taints": None})
    doctor.declare(gpu=replace(GPU, taints=()))
    check = doctor.run().checks["taints of the node"]
    assert (check["found"], check["wanted"]) == ("none", "none")


def test_a_cordoned_node(doctor: Doctor, node: Node) -> None:
    node(spec={"unschedulable": True})
    check = doctor.run().blocks("state of the node")
    assert check["found"] == "cordoned"
    obey(check)
    assert doctor.run().code == 0


@pytest.mark.parametrize(
    ("label", "remedy"),
    [
        ("NVIDIA-L4", 'Set gpu.product to "NVIDIA-L4" in stacks/production.py.'),
        (
            "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
            'Set gpu.product to "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", and gpu.usable_mib to '
            f"memory.total less memory.reserved of `{ON_THE_NODE}` on the node, in stacks/",
        ),
    ],
)
def test_another_card(doctor: Doctor, node: Node, label: str, remedy: str) -> None:
    node(metadata={"labels": {PRODUCT: label}})
    assert doctor.run().blocks("card")["remedy"].startswith(remedy)


def test_a_card_that_is_handed_out_several_times(doctor: Doctor, node: Node) -> None:
    node(metadata={"labels": {PRODUCT: "Tesla-T4-SHARED"}})
    assert "sharing=AtOnce(...)" in doctor.run().hints("card")["remedy"]
    co_tenants = (CoTenant(name="immich", peak_mib=2000),)
    doctor.declare(sharing=AtOnce(co_tenants=co_tenants, slices=4))
    assert doctor.run().checks["card"]["verdict"] == "ok"
    doctor.declare(sharing=AtOnce(co_tenants=co_tenants, slices=4, request=2))
    assert "sharing.request" in doctor.run().blocks("GPUs of the node")["remedy"]


def test_a_node_that_does_not_name_its_card(doctor: Doctor, node: Node) -> None:
    node(metadata={"labels": {PRODUCT: None}})
    result = doctor.run()
    assert result.code == 0
    assert result.checks["card"]["verdict"] == "not known"


def test_a_card_with_less_memory_than_the_settings_say(doctor: Doctor, node: Node) -> None:
    node(metadata={"labels": {"nvidia.com/gpu.memory": "15360"}})
    assert doctor.run().checks["GPU memory"]["verdict"] == "ok"
    node(metadata={"labels": {"nvidia.com/gpu.memory": "8192"}})
    assert "gpu.usable_mib" in doctor.run().blocks("GPU memory")["remedy"]


def test_a_node_that_is_too_small(doctor: Doctor) -> None:
    doctor.declare(resources=PodResources(memory_request_gib=64, memory_limit_gib=64))
    check = doctor.run().blocks("room on the node")
    assert check["found"] == "memory 32Gi"
    assert check["remedy"] == "Lower memory of resources in stacks/production.py."


def test_of_two_nodes_the_better_one_counts(doctor: Doctor, put: Put) -> None:
    labels = {"nvidia.com/gpu.present": "true", "kubernetes.io/hostname": "another"}
    put(
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "another", "labels": labels},
        },
    )
    result = doctor.run()
    assert result.code == 0
    assert result.checks["GPU node"]["found"] == "k8s-node1, of 2 that match"


def test_a_runtime_class(doctor: Doctor, put: Put) -> None:
    doctor.declare(gpu=replace(GPU, runtime_class="nvidia"))
    assert doctor.run().blocks("runtime class")["found"] == "not there"
    put(RUNTIME_CLASSES, runtime_class("nvidia"))
    assert doctor.run().checks["runtime class"]["verdict"] == "ok"
    doctor.declare()
    assert 'gpu.runtime_class="nvidia"' in doctor.run().hints("runtime class")["remedy"]


def test_a_storage_class(doctor: Doctor, put: Put) -> None:
    doctor.declare(storage=ProvisionedStorage(storage_class="longhorn"))
    assert doctor.run().blocks("StorageClass")["found"] == "no class"
    doctor.declare(storage=ProvisionedStorage())
    put(CLASSES, storage_class("longhorn", "driver.longhorn.io"))
    assert doctor.run().blocks("StorageClass")["found"] == "only longhorn"
    doctor.declare(storage=ProvisionedStorage(storage_class="longhorn"))
    assert doctor.run().checks["StorageClass"]["found"] == "longhorn (driver.longhorn.io)"
    put(CLASSES, storage_class("local", "kubernetes.io/no-provisioner", is_default=True))
    doctor.declare(storage=ProvisionedStorage())
    assert "makes no volumes" in doctor.run().hints("StorageClass")["remedy"]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"claimRef": {"namespace": "media", "name": "photos"}}, "bound to media/photos"),
        ({"nfs": {"server": "127.0.0.1", "path": "/old"}}, "127.0.0.1:/old"),
        ({"storageClassName": "nfs"}, "of class 'nfs'"),
        ({"nfs": None, "hostPath": {"path": "/old"}}, "of another kind of storage"),
    ],
)
def test_a_volume_that_is_somebody_elses(
    doctor: Doctor, put: Put, spec: dict[str, Any], found: str
) -> None:
    put(VOLUMES, volume(**spec))
    assert doctor.run().blocks("volume llama-cpp-models")["found"] == found


def test_a_claim_that_a_deploy_would_replace(doctor: Doctor, put: Put) -> None:
    put("/api/v1/namespaces", {"metadata": {"name": "llama-cpp", "labels": OURS}})
    spec = {
        "storageClassName": "nfs",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "30Gi"}},
    }
    put(
        "/api/v1/namespaces/llama-cpp/persistentvolumeclaims",
        {"metadata": {"name": "models", "labels": OURS}, "spec": spec},
    )
    found = doctor.run().blocks("claim models")["found"]
    assert found.startswith("accessModes ['ReadWriteOnce'], not ['ReadWriteMany'], storageClass")
    assert "volumeName None, not 'llama-cpp-models'" in found


def test_a_released_volume_is_freed_as_printed(doctor: Doctor, put: Put, api: KubeApi) -> None:
    put(VOLUMES, volume(claimRef={"namespace": "llama-cpp", "name": "models", "uid": "gone"}))
    released = {"status": {"phase": "Released"}}
    api.request("PATCH", f"{VOLUMES}/llama-cpp-models/status", released)
    check = doctor.run().blocks("volume llama-cpp-models")
    assert check["found"] == "Released"
    remedy = check["remedy"]
    freed = remedy[remedy.index("kubectl") : remedy.index(" frees it")]
    obey({"remedy": f"`{freed}`"})
    assert doctor.run().code == 0


def test_a_directory_of_another_node(doctor: Doctor) -> None:
    doctor.declare(storage=LocalSsdStorage(node="gpu-box", path="/srv/models"))
    assert doctor.run().blocks("node of storage")["found"] == "not there"
    doctor.declare(storage=LocalSsdStorage(node="k8s-node1", path="/srv/models"))
    assert doctor.run().checks["node of storage"]["verdict"] == "ok"


def test_an_object_of_somebody_else(doctor: Doctor, put: Put) -> None:
    put(NAMESPACES, namespace("llama-cpp"))
    check = doctor.run().blocks("names of the objects")
    assert check["found"] == "taken by Namespace llama-cpp"
    assert "`python -m ops adopt`" in check["remedy"]


def test_a_tenant_whose_namespace_is_missing(doctor: Doctor) -> None:
    immich, *_ = SETTINGS.tenants
    doctor.declare(sharing=ByWindow(tenants=(replace(immich, namespace="photos"),)))
    check = doctor.run().blocks("tenant photos/immich-machine-learning")
    assert check["found"] == "namespace photos is not there"
    doctor.declare(sharing=ByWindow(tenants=(replace(immich, name="ml"),)))
    check = doctor.run().blocks("tenant immich/ml")
    assert check["found"] == "Deployment ml is not there"


@pytest.fixture
def emptied(shared_cluster: SharedCluster) -> Iterator[None]:
    """What a printed command makes is removed."""
    yield
    shared_cluster.empty()


@pytest.mark.usefixtures("emptied")
def test_a_secret_is_made_with_its_namespace_and_completed_as_printed(doctor: Doctor) -> None:
    doctor.declare(
        api_key_secret="keys",
        llama_swap=LlamaSwapSettings(api_key_env=("KEY_A", "KEY_B")),
        allow_no_key=False,
    )
    check = doctor.run().blocks("Secret keys")
    assert check["found"] == "not there"
    obey(check | {"remedy": check["remedy"].replace("KEY_B", "OTHER")})
    check = doctor.run().blocks("Secret keys")
    assert check["found"] == "missing: KEY_B"
    obey(check)
    result = doctor.run()
    assert (result.code, result.checks["Secret keys"]["verdict"]) == (0, "ok")


@pytest.mark.usefixtures("emptied")
def test_the_commands_of_two_secrets_are_typed_in_their_order(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_example")
    doctor.declare(
        api_key_secret="keys",
        llama_swap=LlamaSwapSettings(api_key_env=("KEY_A",)),
        allow_no_key=False,
        hf_token_secret="hub",
    )
    result = doctor.run()
    assert result.verdicts("blocks") == ["Secret keys", "Secret hub"]
    for name in result.verdicts("blocks"):
        obey(result.checks[name])
    assert doctor.run().code == 0


@pytest.mark.usefixtures("emptied")
def test_a_gateway_that_runs_already_has_a_namespace_and_its_consumers_keys(
    doctor: Doctor, put: Put
) -> None:
    doctor.declare(gateway=EXISTING_GATEWAY, **WITH_KEY)
    obey(doctor.run().checks["Secret llama-swap-keys"])
    check = doctor.run().blocks("gateway's namespace litellm")
    assert check["found"] == "not there"
    assert doctor.run().checks["client namespaces"]["found"] == "missing: litellm, monitoring"
    obey(check)
    keys = doctor.run().hints("Secret gateway-keys")
    assert keys["found"] == "no consumer has a key"
    assert "python -m ops gateway keys new CONSUMER" in keys["remedy"]
    assert keys["wanted"] == "photo-poster, home-assistant, n8n"
    for name, consumers in (("some-keys", ("n8n",)), ("all-keys", keys["wanted"].split(", "))):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": dict.fromkeys(consumers, "sha256:"),
        }
        put(f"{NAMESPACES}/litellm/secrets", secret)
        doctor.declare(gateway=replace(EXISTING_GATEWAY, keys_secret=name), **WITH_KEY)
        verdict = doctor.run().checks[f"Secret {name}"]["verdict"]
        assert verdict == ("ok" if name == "all-keys" else "hint")


@pytest.mark.usefixtures("emptied")
def test_the_stacks_own_gateway_has_its_consumers_keys_beside_it(doctor: Doctor) -> None:
    doctor.declare(gateway=GATEWAY, **WITH_KEY)
    checks = doctor.run().checks
    assert "gateway's namespace llama-cpp" not in checks
    assert checks["Secret gateway-keys"]["verdict"] == "hint"
    wanted = "monitoring, photo-poster, home-assistant, n8n"
    assert checks["client namespaces"]["wanted"] == wanted


def test_a_quota_is_a_hint(doctor: Doctor, put: Put) -> None:
    put(NAMESPACES, namespace("llama-cpp", OURS))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "1"}},
    }
    put(f"{NAMESPACES}/llama-cpp/resourcequotas", quota)
    assert doctor.run().hints("quotas")["found"] == "ResourceQuota small"


def test_a_node_with_fewer_cards_than_declared(doctor: Doctor, node: Node) -> None:
    doctor.declare(gpu=replace(GPU, count=2))
    check = doctor.run().blocks("GPUs of the node")
    assert (check["found"], check["wanted"]) == ("1 nvidia.com/gpu", "2 nvidia.com/gpu")
    assert check["remedy"] == (
        "Lower gpu.count in stacks/production.py, or select a node with as many cards."
    )
    node(status={"allocatable": {GPU.resource: "2"}, "capacity": {GPU.resource: "2"}})
    assert doctor.run().code == 0
