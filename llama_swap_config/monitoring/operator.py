"""The Prometheus Operator's objects, as Kubernetes manifests."""

from __future__ import annotations

from typing import Any

from in_pod.exporter.contract import METRICS_PATH
from llama_swap_config.cluster.labels import EXPORTER, labels, selector
from llama_swap_config.monitoring.alerts import Alert, rule_groups
from llama_swap_config.monitoring.names import ALERTS

_API = "monitoring.coreos.com/v1"


def operator_manifests(namespace: str, declared: tuple[Alert, ...]) -> tuple[dict[str, Any], ...]:
    """Return the ServiceMonitor of the exporter and the PrometheusRule of the alerts.

    Args:
        namespace: The endpoint's namespace.
        declared: The alerts.
    """
    return (
        _object(
            "ServiceMonitor",
            EXPORTER,
            namespace,
            {
                "selector": {"matchLabels": selector(EXPORTER)},
                "endpoints": [{"port": "http", "path": METRICS_PATH, "interval": "30s"}],
            },
        ),
        _object("PrometheusRule", ALERTS, namespace, rule_groups(declared)),
    )


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels(EXPORTER)}
    return {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}
