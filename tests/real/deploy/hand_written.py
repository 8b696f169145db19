"""An endpoint in hand-written HCL, with the same schema and the same names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

NAMESPACE = "llama-cpp"
SECRET = "a token that somebody wrote into the HCL"
LABELS = {"app": "llama-swap", "managed-by": "terraform"}
ADDRESSES = frozenset(
    {
        "kubernetes_config_map.llama_swap_config",
        "kubernetes_deployment.llama_swap",
        "kubernetes_job_v1.download_models",
        "kubernetes_namespace.llama_cpp",
        "kubernetes_service.llama_swap",
        "module.nfs_models.kubernetes_persistent_volume.this",
        "module.nfs_models.kubernetes_persistent_volume_claim.this",
    }
)


def write(directory: Path, *, schema_name: str) -> Path:
    """Write the HCL with its module and a state in a schema of PostgreSQL."""
    (directory / "nfs").mkdir(parents=True, exist_ok=True)
    (directory / "main.tf.json").write_text(json.dumps(_root(schema_name)))
    (directory / "nfs" / "main.tf.json").write_text(json.dumps(_nfs()))
    return directory


def _metadata(name: str, **more: Any) -> Json:
    return {"name": name, "namespace": NAMESPACE, "labels": LABELS, **more}


def _required() -> Json:
    return {"kubernetes": {"source": "hashicorp/kubernetes", "version": "2.38.0"}}


def _root(schema_name: str) -> Json:
    after = ["kubernetes_namespace.llama_cpp"]
    pod = {
        "metadata": {"labels": LABELS},
        "spec": {
            "container": [
                {
                    "name": "llama-swap",
                    "image": "llama-swap:latest",
                    "env": [{"name": "HF_TOKEN", "value": SECRET}],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                    "volume_mount": [{"name": "models", "mount_path": "/models"}],
                }
            ],
            "toleration": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "volume": [
                {
                    "name": "models",
                    "persistent_volume_claim": {"claim_name": "llama-cpp-models"},
                }
            ],
        },
    }
    job_pod = {
        "metadata": {},
        "spec": {
            "container": [{"name": "download", "image": "python:3", "command": ["true"]}],
            "restart_policy": "Never",
        },
    }
    return {
        "terraform": {
            "backend": {"pg": {"schema_name": schema_name}},
            "required_providers": _required(),
        },
        "module": {"nfs_models": {"source": "./nfs", "depends_on": after}},
        "resource": {
            "kubernetes_namespace": {
                "llama_cpp": {"metadata": {"name": NAMESPACE, "labels": LABELS}}
            },
            "kubernetes_config_map": {
                "llama_swap_config": {
                    "metadata": _metadata("llama-swap-config"),
                    "data": {"config.yaml": "models: {}\n"},
                    "depends_on": after,
                }
            },
            "kubernetes_service": {
                "llama_swap": {
                    "metadata": _metadata("llama-swap"),
                    "spec": {"selector": LABELS, "port": [{"port": 8080}]},
                    "depends_on": after,
                }
            },
            "kubernetes_deployment": {
                "llama_swap": {
                    "metadata": _metadata("llama-swap"),
                    "spec": {"selector": {"match_labels": LABELS}, "template": pod},
                    "wait_for_rollout": False,
                    "depends_on": after,
                }
            },
            "kubernetes_job_v1": {
                "download_models": {
                    "metadata": _metadata("download-models"),
                    "spec": {"template": job_pod},
                    "wait_for_completion": False,
                    "depends_on": after,
                }
            },
        },
    }


def _nfs() -> Json:
    size = {"storage": "30Gi"}
    return {
        "terraform": {"required_providers": _required()},
        "resource": {
            "kubernetes_persistent_volume": {
                "this": {
                    "metadata": {"name": "llama-cpp-models"},
                    "spec": {
                        "capacity": size,
                        "access_modes": ["ReadWriteMany"],
                        "persistent_volume_reclaim_policy": "Retain",
                        "storage_class_name": "nfs",
                        "persistent_volume_source": {
                            "nfs": {"server": "192.168.1.127", "path": "/srv/nfs-ssd/llamacpp"}
                        },
                    },
                }
            },
            "kubernetes_persistent_volume_claim": {
                "this": {
                    "metadata": {"name": "llama-cpp-models", "namespace": NAMESPACE},
                    "spec": {
                        "access_modes": ["ReadWriteMany"],
                        "storage_class_name": "nfs",
                        "volume_name": "llama-cpp-models",
                        "resources": {"requests": size},
                    },
                    "wait_until_bound": False,
                }
            },
        },
    }
