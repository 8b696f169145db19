"""The Prometheus Operator's objects, as Kubernetes manifests."""

from __future__ import annotations

from typing import Any

from in_pod.exporter.contract import METRICS_PATH
from llama_swap_config.cluster.labels import EXPORTER, labels, selector
from llama_swap_config.monitoring.alerts import Alert, rule_groups
from llama_swap_config.monitoring.names import ALERTS

_API = "monitoring.coreos.com/v1"


def operator_manifests(
    namespaces: tuple[str, ...], declared: tuple[Alert, ...]
) -> tuple[dict[str, Any], ...]:
    """Return the ServiceMonitor of each exporter and the PrometheusRule of the alerts.

    Args:
        namespaces: Of the pools, the first pool's first, which has the alerts.
        declared: The alerts.
    """
    spec = {
        "selector": {"matchLabels": selector(EXPORTER)},
        "endpoints": [{"port": "http", "path": METRICS_PATH, "interval": "30s"}],
    }
    return (
        *(_object("ServiceMonitor", EXPORTER, namespace, spec) for namespace in namespaces),
        _object("PrometheusRule", ALERTS, namespaces[0], rule_groups(declared)),
    )


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels(EXPORTER)}
    return {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}
