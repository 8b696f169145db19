"""What monitoring reads: alerts and a dashboard over the exporter's metrics."""
