"""Exit codes, the Lease of a window, and the endpoint's Deployment."""

from __future__ import annotations

REMAINS, BAD_DATA, TRANSIENT, NO_ACCESS = 1, 65, 75, 77

LEASE = "gpu-window"
"""Name of the Lease in the endpoint's namespace: holder, deadline and record of a window."""
ANNOTATION = "llama-cpp-infra/gpu-window"
"""Annotation of the Lease with the record of what to restore, JSON."""
DEAD_S = 60
"""Seconds without a heartbeat after which a Lease has no owner."""
ENDPOINT_DEPLOYMENT = "llama-swap"
"""The endpoint's Deployment, in the namespace of the Lease, whichever front end runs."""
ENDPOINT_REPLICAS = 1
"""Declared replicas; Terraform sets them once, and windows change them."""
