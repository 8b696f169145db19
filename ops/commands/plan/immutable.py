"""The fields for which the provider replaces an object instead of changing it in place.

Read from hashicorp/terraform-provider-kubernetes, tag v2.38.0, `kubernetes/`: `ForceNew` in each
`resource_kubernetes_*_v1.go`, schema_metadata.go, schema_job_spec.go, schema_cron_job_spec_v1.go,
schema_pod_spec.go and schema_container.go (with `isUpdatable` false for a Job),
schema_persistent_volume_claim.go, schema_label_selector.go, schema_node_selector_term.go and
schema_rbac.go; and each `CustomizeDiff`: any change of a volume's source, a claim's limits, and a
claim whose storage shrinks. The table omits `immutable` ConfigMaps: the stack has none.
tests/real/plan/test_plan.py compares the table with the provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.cluster.quantity import quantity
from ops.commands.plan.fields import FieldChange

_NAME = ("metadata.name", "metadata.generate_name")
_NAMESPACED = (*_NAME, "metadata.namespace")

_CONTAINER = (
    *("args", "command", "env", "env_from", "image", "image_pull_policy", "name", "port"),
    *("resources", "security_context", "stdin", "stdin_once", "termination_message_path"),
    *("termination_message_policy", "tty", "working_dir"),
    *("lifecycle.post_start#", "lifecycle.pre_stop#"),
    *("liveness_probe#", "readiness_probe#", "startup_probe#"),
    *("volume_device#", "volume_mount#"),
)
_JOB_POD = (
    *("affinity#", "automount_service_account_token", "dns_config", "dns_policy"),
    *("enable_service_links", "host_aliases", "host_ipc", "host_network", "host_pid", "hostname"),
    *("image_pull_secrets", "init_container#", "node_name", "node_selector"),
    *("priority_class_name", "readiness_gate", "restart_policy", "runtime_class_name"),
    *("scheduler_name", "security_context", "service_account_name", "share_process_namespace"),
    *("subdomain", "termination_grace_period_seconds", "toleration"),
    *("volume.empty_dir.medium", "volume.empty_dir.size_limit"),
    *(f"{kind}.{field}" for kind in ("container", "init_container") for field in _CONTAINER),
)
_JOB = (
    *("backoff_limit_per_index", "completions", "completion_mode", "pod_failure_policy#"),
    *("selector", "template#", "template.spec#", "template.metadata.name"),
    "template.metadata.generate_name",
)

IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "kubernetes_config_map_v1": _NAMESPACED,
    "kubernetes_cron_job_v1": (
        *_NAMESPACED,
        *(f"spec.job_template.{field}" for field in _NAMESPACED),
        *(f"spec.job_template.spec.{field}" for field in _JOB),
    ),
    "kubernetes_deployment_v1": (
        *_NAMESPACED,
        "spec.selector",
        *(f"spec.template.{field}" for field in _NAMESPACED),
    ),
    "kubernetes_job_v1": (
        *_NAMESPACED,
        *(f"spec.{field}" for field in _JOB),
        *(f"spec.template.spec.{field}" for field in _JOB_POD),
    ),
    "kubernetes_namespace_v1": _NAME,
    "kubernetes_network_policy_v1": _NAMESPACED,
    "kubernetes_persistent_volume_claim_v1": (
        *_NAMESPACED,
        *("spec.access_modes", "spec.resources.limits", "spec.selector"),
        *("spec.storage_class_name", "spec.volume_mode", "spec.volume_name"),
    ),
    "kubernetes_persistent_volume_v1": (
        "metadata.name",
        "spec.node_affinity.required.node_selector_term",
        "spec.persistent_volume_source",
        "spec.volume_mode",
    ),
    "kubernetes_priority_class_v1": (*_NAME, "preemption_policy", "value"),
    "kubernetes_role_binding_v1": (*_NAMESPACED, "role_ref"),
    "kubernetes_role_v1": _NAMESPACED,
    "kubernetes_service_account_v1": _NAMESPACED,
    "kubernetes_service_v1": (
        *_NAMESPACED,
        *("spec.cluster_ip", "spec.cluster_ips", "spec.health_check_node_port"),
        "spec.load_balancer_class",
    ),
}
"""Resource type -> Terraform paths without indexes; a path covers all paths below it. With `#` at
the end it covers adding and removing the block, and the number of blocks, not their content."""

_STORAGE = "spec.resources.requests.storage"


def forces_replacement(resource_type: str, change: FieldChange) -> bool:
    """Whether the provider would replace the object because of this change."""
    if resource_type == "kubernetes_persistent_volume_claim_v1" and change.path == _STORAGE:
        before, after = quantity(change.before), quantity(change.after)
        return before is not None and after is not None and after < before
    return any(_covers(path, change) for path in IMMUTABLE.get(resource_type, ()))


def _covers(entry: str, change: FieldChange) -> bool:
    if entry.endswith("#"):
        block = entry[:-1]
        return bool(change.block) and _is_below(block, change.block)
    # A block that changes as a whole has the field too.
    return _is_below(change.path, entry) or _is_below(entry, change.path)


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}.")
