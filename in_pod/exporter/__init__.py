"""The exporter: what the endpoint does, as Prometheus metrics and as one JSON document."""
