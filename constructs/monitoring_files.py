"""The ConfigMaps with the alerts and the dashboard."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import EXPORTER, labels
from llama_swap_config.monitoring.names import (
    ALERTS,
    ALERTS_FILE,
    DASHBOARD,
    DASHBOARD_FILE,
    DASHBOARD_LABEL,
)


class MonitoringFiles(tf.Construct):
    """A rule file for Prometheus, and a dashboard that Grafana's sidecar finds by its label."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        rules: str,
        dashboard: str,
    ) -> None:
        """Declare the ConfigMaps.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: Their namespace.
            rules: The rule file, YAML.
            dashboard: The dashboard, JSON.
        """
        super().__init__(scope, id)
        for part, name, more, file, text in (
            ("alerts", ALERTS, {}, ALERTS_FILE, rules),
            ("dashboard", DASHBOARD, DASHBOARD_LABEL, DASHBOARD_FILE, dashboard),
        ):
            tf.config_map_v1.ConfigMapV1(
                self,
                part,
                metadata=tf.config_map_v1.ConfigMapV1Metadata(
                    name=name, namespace=namespace.name, labels=labels(EXPORTER) | more
                ),
                data={file: tf.terraform_text(text)},
                depends_on=[namespace.resource],
            )
