"""What others name of a window: exit codes, its Lease, and the Deployment that gets the card."""

from __future__ import annotations

REMAINS, BAD_DATA, TRANSIENT, NO_ACCESS = 1, 65, 75, 77

LEASE = "gpu-window"
"""In the endpoint's namespace: who holds the window, until when, and what to restore."""
ANNOTATION = "llama-cpp-infra/gpu-window"
"""Of the Lease: the record of what to restore, JSON."""
DEAD_S = 60
"""A Lease that was not renewed for so long has no owner any more."""
ENDPOINT_DEPLOYMENT = "llama-swap"
"""The Deployment that gets the card, in the namespace of the Lease, whichever front end runs."""
ENDPOINT_REPLICAS = 1
"""As declared; Terraform sets it once, and then a window may change it."""
