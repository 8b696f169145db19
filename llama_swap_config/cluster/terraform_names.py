"""How the Kubernetes provider of Terraform spells the names of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable

KINDS = {
    "kubernetes_namespace_v1": ("v1", "Namespace"),
    "kubernetes_priority_class_v1": ("scheduling.k8s.io/v1", "PriorityClass"),
    "kubernetes_persistent_volume_v1": ("v1", "PersistentVolume"),
    "kubernetes_persistent_volume_claim_v1": ("v1", "PersistentVolumeClaim"),
    "kubernetes_config_map_v1": ("v1", "ConfigMap"),
    "kubernetes_service_account_v1": ("v1", "ServiceAccount"),
    "kubernetes_role_v1": ("rbac.authorization.k8s.io/v1", "Role"),
    "kubernetes_role_binding_v1": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    "kubernetes_network_policy_v1": ("networking.k8s.io/v1", "NetworkPolicy"),
    "kubernetes_service_v1": ("v1", "Service"),
    "kubernetes_job_v1": ("batch/v1", "Job"),
    "kubernetes_cron_job_v1": ("batch/v1", "CronJob"),
    "kubernetes_deployment_v1": ("apps/v1", "Deployment"),
}
"""Terraform's resource type -> apiVersion and kind, in the order of applying."""

OF_TERRAFORM = frozenset(
    {
        "//",
        "count",
        "depends_on",
        "lifecycle",
        "provider",
        "timeouts",
        "wait_for_completion",
        "wait_for_load_balancer",
        "wait_for_rollout",
        "wait_until_bound",
    }
)
"""What a resource has beside the fields of its object."""

PLURALS = {
    "container": "containers",
    "egress": "egress",
    "env": "env",
    "env_from": "envFrom",
    "from": "from",
    "ingress": "ingress",
    "init_container": "initContainers",
    "items": "items",
    "match_expressions": "matchExpressions",
    "node_selector_term": "nodeSelectorTerms",
    "on_pod_condition": "onPodConditions",
    "port": "ports",
    "ports": "ports",
    "rule": "rules",
    "subject": "subjects",
    "to": "to",
    "toleration": "tolerations",
    "topology_spread_constraint": "topologySpreadConstraints",
    "volume": "volumes",
    "volume_mount": "volumeMounts",
}
"""Blocks that Terraform repeats in the singular and Kubernetes lists, often in the plural."""

SINGLE = frozenset({"pre_stop", "post_start", "spec"})
"""Blocks that are lists of at most one for the provider, and objects for Kubernetes."""

TEXT_MAPS = frozenset(
    {
        "annotations",
        "capacity",
        "data",
        "labels",
        "limits",
        "match_labels",
        "node_selector",
        "requests",
    }
)
"""Maps with free keys."""


def is_text_map(name: str, keys: Iterable[str]) -> bool:
    """Whether a block is a map with free keys, as the selector of a Service is.

    Args:
        name: The block's name.
        keys: Its keys, or one of them.
    """
    of_a_block = {"match_labels", "match_expressions"}
    return name in TEXT_MAPS or (name == "selector" and of_a_block.isdisjoint(keys))


_SPELLINGS = {"cluster_ip": "clusterIP", "external_ips": "externalIPs", "host_pid": "hostPID"}


def camel(name: str) -> str:
    """Spell the name of a field as Kubernetes does; `PLURALS` has those of repeated blocks."""
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    head, *tail = name.split("_")
    return head + "".join({"ip": "IP"}.get(word, word.capitalize()) for word in tail)


FREE_MAPS = frozenset(map(camel, TEXT_MAPS))
"""`TEXT_MAPS` as Kubernetes spells them."""
