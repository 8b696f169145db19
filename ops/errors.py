"""The one error tree of the operator's commands."""

from __future__ import annotations


class OpsError(Exception):
    """What the operator can act on, in one line; the command line prints it and exits with 1."""
