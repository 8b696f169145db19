"""Exit codes, the Lease of a window, and the endpoint's Deployment."""

from __future__ import annotations

REMAINS, BAD_DATA, TRANSIENT, NO_ACCESS = 1, 65, 75, 77

LEASE = "gpu-window"
"""Name of the Lease in the endpoint's namespace: holder, deadline and record of a window."""
ANNOTATION = "llama-cpp-infra/gpu-window"
"""Annotation of the Lease with the record of what to restore, JSON."""
RESTORE_COMMAND = "python -m ops window --restore"
"""The operator's command that restores what a killed window took."""
DEAD_S = 60
"""Seconds without a heartbeat after which a Lease has no owner."""
LONGEST_S = 48 * 3600
"""The longest window: a day to open, a day open."""
TERMINATE_S = 60
"""Seconds that a restore waits for a tenant's pods to begin to terminate."""
READY_S = 600
"""Seconds that a restore waits for the tenants to be ready; they may load models first."""
PATIENCE_S = 300
"""Seconds of retries while the API server does not answer."""
ENDPOINT_DEPLOYMENT = "llama-swap"
"""The endpoint's Deployment, in the namespace of the Lease, whichever front end runs."""
ENDPOINT_REPLICAS = 1
"""Declared replicas. Terraform sets them once; a window changes them only from 0, and back."""
MAX_REPLICAS = 100
"""The most replicas that a record may ask for."""
