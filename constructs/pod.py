"""What every pod of this repository gives up: the rights that `restricted` leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

_Context = TypeVar("_Context")


def pod_security_context(struct: Callable[..., _Context], run_as_user: int) -> _Context:
    """Run as one user that is not root.

    Args:
        struct: The provider's class, of which each place of a pod has one of its own.
        run_as_user: User and group.
    """
    return struct(
        run_as_non_root=True,
        run_as_user=str(run_as_user),
        run_as_group=str(run_as_user),
        fs_group=str(run_as_user),
        # A volume of models has few files, but NFS answers each chown with an error.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=nested(struct, "seccomp_profile")(type="RuntimeDefault"),
    )


def container_security_context(struct: Callable[..., _Context]) -> _Context:
    """Give up every right that neither llama-server nor a program in Python needs.

    Args:
        struct: As for `pod_security_context`.
    """
    return struct(
        # The provider sends `false` where this is left out, and so overrides the pod's.
        run_as_non_root=True,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=nested(struct, "capabilities")(drop=["ALL"]),
    )


def nested(struct: Any, field: str) -> Any:
    """Find the class of a struct within another: the provider names it after both."""
    name = struct.__name__ + "".join(word.capitalize() for word in field.split("_"))
    return getattr(sys.modules[struct.__module__], name)
