"""How the endpoint is watched."""

from __future__ import annotations

from dataclasses import dataclass

from llama_swap_config.typed import typed


@typed("settings", "monitoring.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """The exporter beside the endpoint, and how Prometheus finds it."""

    scrape_annotations: bool = True
    """Whether the exporter's pod has the annotations `prometheus.io/scrape`, `port` and `path`,
    which the plain Prometheus chart reads."""
    operator: bool = False
    """Whether the Prometheus Operator runs in the cluster: `python -m ops manifests` then also
    writes a ServiceMonitor and a PrometheusRule, which Terraform could not plan without their
    CRDs."""
