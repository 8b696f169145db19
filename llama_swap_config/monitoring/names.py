"""Names of what monitoring reads in the cluster."""

from __future__ import annotations

ALERTS, ALERTS_FILE = "llama-swap-alerts", "llama-swap.rules.yaml"
"""The ConfigMap and the PrometheusRule with the alerts, and the rule file."""
DASHBOARD, DASHBOARD_FILE = "llama-swap-dashboard", "llama-swap.json"
DASHBOARD_LABEL = {"grafana_dashboard": "1"}
"""What the sidecar of Grafana's chart looks for."""
