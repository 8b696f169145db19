"""Every object of the frozen stack, by resource type and name."""

from __future__ import annotations

RESOURCES = (
    "config_map_v1.gpu-window-restore",
    "config_map_v1.llama-swap",
    "config_map_v1.model-download",
    "config_map_v1.model-warm-up",
    "cron_job_v1.gpu-window-restore",
    "cron_job_v1.model-upkeep",
    "deployment_v1.llama-swap",
    "job_v1.model-download",
    "namespace_v1.llama-cpp",
    "network_policy_v1.gpu-window-restore-egress",
    "network_policy_v1.llama-swap-clients",
    "network_policy_v1.llama-swap-egress",
    "network_policy_v1.model-download-egress",
    "persistent_volume_claim_v1.models",
    "persistent_volume_v1.llama-cpp-models",
    "priority_class_v1.llama-cpp-gives-way",
    "role_binding_v1.gpu-window-restore",
    "role_binding_v1.llama-cpp-gpu-window-restore",
    "role_v1.gpu-window-restore",
    "role_v1.llama-cpp-gpu-window-restore",
    "service_account_v1.gpu-window-restore",
    "service_v1.llama-swap",
)
