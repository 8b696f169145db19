"""The one error tree of the operator's commands."""

from __future__ import annotations


class OpsError(Exception):
    """What the operator can act on, in one line; the command line prints it."""

    exit_code = 1


class RefusedError(OpsError):
    """A deploy would remove what nobody named; nothing was changed."""

    exit_code = 3
