"""`manifests`: the synthesized objects as Kubernetes YAML."""
