"""Fields that somebody else writes: what Terraform is told, and what the settings refuse."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from llama_swap_config.cluster.ignored_fields import IgnoredField
from llama_swap_config.cluster.storage import LocalSsdStorage
from llama_swap_config.errors import ConfigError
from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]


def ignored(path: str, *, kind: str = "Deployment", name: str = "llama-swap") -> IgnoredField:
    return IgnoredField(kind=kind, name=name, path=path, reason="a webhook writes it")


RENDERED = {
    "spec.template.spec.containers[0].imagePullPolicy": (
        "spec[0].template[0].spec[0].container[0].image_pull_policy"
    ),
    "spec.template.spec.containers[llama-swap].imagePullPolicy": (
        "spec[0].template[0].spec[0].container[0].image_pull_policy"
    ),
    "spec.template.spec.initContainers[warm-up].resources.requests[cpu]": (
        'spec[0].template[0].spec[0].init_container[0].resources[0].requests["cpu"]'
    ),
    "spec.template.spec.containers[0].startupProbe.httpGet.port": (
        "spec[0].template[0].spec[0].container[0].startup_probe[0].http_get[0].port"
    ),
    "spec.template.spec.tolerations": "spec[0].template[0].spec[0].toleration",
    "spec.template.spec.affinity": "spec[0].template[0].spec[0].affinity",
    "spec.template.spec.topologySpreadConstraints": (
        "spec[0].template[0].spec[0].topology_spread_constraint"
    ),
    "spec.template.spec.imagePullSecrets": "spec[0].template[0].spec[0].image_pull_secrets",
    "spec.template.metadata.annotations[example.com/scanned]": (
        'spec[0].template[0].metadata[0].annotations["example.com/scanned"]'
    ),
    "metadata.annotations": "metadata[0].annotations",
    "metadata.annotations.owner": 'metadata[0].annotations["owner"]',
    "metadata.labels[team]": 'metadata[0].labels["team"]',
    "spec.minReadySeconds": "spec[0].min_ready_seconds",
}


@pytest.fixture(scope="module")
def rendered(synth: Synth) -> list[str]:
    document = synth(ignored_fields=tuple(map(ignored, RENDERED)))
    paths: list[str] = resources(document)["deployment_v1.llama-swap"]["lifecycle"][
        "ignore_changes"
    ]
    return paths


def test_paths_are_spelled_as_terraform_does(rendered: list[str]) -> None:
    assert rendered == ["spec[0].replicas", *RENDERED.values()]


def test_other_kinds(synth: Synth) -> None:
    fields = (
        ignored("spec.startingDeadlineSeconds", kind="CronJob", name="model-upkeep"),
        # The Job's name ends in a hash of its content.
        ignored(
            "spec.template.spec.containers[0].imagePullPolicy", kind="Job", name="model-download"
        ),
        ignored("spec.clusterIP", kind="Service"),
        ignored("metadata.labels[team]", kind="Namespace", name="llama-cpp"),
        ignored("spec.mountOptions", kind="PersistentVolume", name="llama-cpp-models"),
    )
    found = resources(synth(ignored_fields=fields))
    assert {
        name: resource["lifecycle"]["ignore_changes"]
        for name, resource in found.items()
        if "ignore_changes" in resource.get("lifecycle", {})
    } == {
        "cron_job_v1.model-upkeep": ["spec[0].starting_deadline_seconds"],
        "deployment_v1.llama-swap": ["spec[0].replicas"],
        "job_v1.model-download": ["spec[0].template[0].spec[0].container[0].image_pull_policy"],
        "namespace_v1.llama-cpp": ['metadata[0].labels["team"]'],
        "persistent_volume_claim_v1.models": ["spec[0].resources[0].requests"],
        "persistent_volume_v1.llama-cpp-models": ["spec[0].mount_options"],
        "service_v1.llama-swap": ["spec[0].cluster_ip"],
    }
    assert found["namespace_v1.llama-cpp"]["lifecycle"]["prevent_destroy"] is True


def test_without_a_setting_only_what_is_set_once_is_ignored(synth: Synth) -> None:
    cached = synth(gpu=replace(SETTINGS.gpu, cuda_cache=LocalSsdStorage(node="n", path="/c")))
    assert {
        name: resource["lifecycle"]["ignore_changes"]
        for name, resource in resources(cached).items()
        if "ignore_changes" in resource.get("lifecycle", {})
    } == {
        "deployment_v1.llama-swap": ["spec[0].replicas"],
        "persistent_volume_claim_v1.cuda-cache": ["spec[0].resources[0].requests"],
        "persistent_volume_claim_v1.models": ["spec[0].resources[0].requests"],
    }


BAD: dict[str, tuple[Json, str]] = {
    "kind": ({"kind": "Pod"}, "ignored_fields.kind is 'Pod'; expected one of ConfigMap, "),
    "empty reason": ({"reason": " "}, "ignored_fields.reason is ' '; expected a text of one line"),
    "no reason": ({"reason": None}, "ignored_fields.reason is None; expected text"),
    "two lines": ({"reason": "a\nb"}, "ignored_fields.reason is 'a\\nb'"),
    "empty path": ({"path": ""}, "ignored_fields.path is ''"),
    "Terraform's spelling of blocks": (
        {"path": "spec[0].minReadySeconds"},
        "expected spec without an item, because it is no list",
    ),
    "Terraform's spelling of names": (
        {"path": "spec.min_ready_seconds"},
        "expected a field of a Deployment that Terraform knows",
    ),
    "not a path": ({"path": "spec..replicas"}, "expected a path such as"),
    "an expression": ({"path": 'spec.${"x"}'}, "expected a path such as"),
    "the name": ({"path": "metadata.name"}, "because it names the object"),
    "all": ({"path": "spec"}, "expected a field that the stack can leave to others, because"),
    "selector": ({"path": "spec.selector"}, "because it finds the pods"),
    "image": (
        {"path": "spec.template.spec.containers[0].image"},
        "because a new image would not be deployed: declare the image by the name that the "
        "cluster gives it. Correct it in stacks/production.py.",
    ),
    "all containers": ({"path": "spec.template.spec.containers"}, "because it decides what runs"),
    "keys": ({"path": "spec.template.spec.containers[0].envFrom"}, "the API keys come from it"),
    "rights": (
        {"path": "spec.template.spec.securityContext"},
        "because it decides who may do or reach what",
    ),
    "the card": (
        {"path": "spec.template.spec.containers[0].resources"},
        "because the card and the budget are reckoned with it",
    ),
    "paused": ({"path": "spec.paused"}, "because a paused Deployment takes no new configuration"),
    "network": (
        {"kind": "NetworkPolicy", "name": "llama-swap-clients", "path": "spec.egress"},
        "because it decides who may do or reach what",
    ),
    "the Service's type": ({"kind": "Service", "path": "spec.type"}, "who may do or reach what"),
    "its addresses": ({"kind": "Service", "path": "spec.externalIPs"}, "who may do or reach what"),
    "a token": (
        {
            "kind": "ServiceAccount",
            "name": "gpu-window-restore",
            "path": "automountServiceAccountToken",
        },
        "who may do or reach what",
    ),
    "a suspended CronJob": (
        {"kind": "CronJob", "name": "model-upkeep", "path": "spec.suspend"},
        "because a suspended CronJob starts no Job",
    ),
    "configuration": ({"kind": "ConfigMap", "path": "data[llama-swap.yaml]"}, "decides what runs"),
    "twice": (
        {"path": "spec.replicas"},
        "expected a field of Deployment llama-swap that is not ignored already (a GPU window or",
    ),
    "no such object": (
        {"name": "llama"},
        "ignored_fields.name is 'llama'; expected the name of a Deployment of this stack",
    ),
    "no such field": (
        {"path": "spec.template.spec.imagePullPolicy"},
        "expected a field of a Deployment that Terraform knows",
    ),
    "prevent_destroy": (
        {"path": "lifecycle.prevent_destroy"},
        "expected a field of a Deployment that Terraform knows",
    ),
    "no such item": (
        {"path": "spec.template.spec.containers[1].imagePullPolicy"},
        "expected one of the declared items of containers: llama-swap",
    ),
    "no item": (
        {"path": "spec.template.spec.tolerations.key"},
        "expected an item of tolerations, by name or position",
    ),
    "below a key": ({"path": "metadata.annotations[a].b"}, "expected one key of annotations"),
    "below a value": ({"path": "spec.minReadySeconds.x"}, "expected a field without anything"),
    "below a block that is not declared": (
        {"path": "spec.template.spec.affinity.nodeAffinity"},
        "expected a field in a block that the stack declares, or that whole block",
    ),
    "a label of the stack": (
        {"path": "metadata.labels[app.kubernetes.io/part-of]"},
        "expected labels that the stack does not set; it sets app.kubernetes.io/part-of",
    ),
    "the checksum": (
        {"path": "spec.template.metadata.annotations[checksum/config]"},
        "expected annotations that the stack does not set; it sets checksum/config",
    ),
    "all annotations of the pod": (
        {"path": "spec.template.metadata.annotations"},
        "expected annotations that the stack does not set; it sets checksum/",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_field_is_one_line(name: str, synth: Synth) -> None:
    changes, message = BAD[name]
    good = {
        "kind": "Deployment",
        "name": "llama-swap",
        "path": "spec.template.spec.containers[0].imagePullPolicy",
        "reason": "a webhook writes it",
    }
    with pytest.raises(ConfigError) as caught:
        synth(ignored_fields=(IgnoredField(**(good | changes)),))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "ignored_fields is []; expected a tuple of IgnoredField(...)"),
        (("spec.replicas",), "ignored_fields[0] is 'spec.replicas'; expected IgnoredField(...)"),
        (ignored("spec.minReadySeconds"), "such as (IgnoredField(...),)"),
    ],
    ids=["a list", "a path", "one field"],
)
def test_the_setting_is_a_tuple_of_fields(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        replace(SETTINGS, ignored_fields=value)
