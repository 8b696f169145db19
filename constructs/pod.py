"""What pods have in common: security contexts, tolerations, probes.

The contexts are stricter than the Pod Security Standard `restricted`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from llama_swap_config.cluster.pod_resources import Taint

_Context = TypeVar("_Context")
_Lifecycle = TypeVar("_Lifecycle")
_Probe = TypeVar("_Probe")
_Toleration = TypeVar("_Toleration")


def pod_security_context(struct: Callable[..., _Context], run_as_user: int) -> _Context:
    """Make the context of a pod that runs as a user other than root.

    Args:
        struct: The provider's class, which differs for each kind of pod.
        run_as_user: User and group.
    """
    return struct(
        run_as_non_root=True,
        run_as_user=str(run_as_user),
        run_as_group=str(run_as_user),
        fs_group=str(run_as_user),
        # NFS answers each chown with an error.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=nested(struct, "seccomp_profile")(type="RuntimeDefault"),
    )


def container_security_context(struct: Callable[..., _Context]) -> _Context:
    """Make the context of a container without privileges.

    Args:
        struct: As for `pod_security_context`.
    """
    return struct(
        # Without it the provider sends `false`, which overrides the pod's value.
        run_as_non_root=True,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=nested(struct, "capabilities")(drop=["ALL"]),
    )


def tolerations(
    struct: Callable[..., _Toleration], taints: tuple[Taint, ...]
) -> list[_Toleration]:
    """Make a pod's tolerations of a node's taints, whatever their value and effect.

    Args:
        struct: As for `pod_security_context`.
        taints: The node's taints.
    """
    return [struct(key=key, operator="Exists") for key in dict.fromkeys(t.key for t in taints)]


def http_probe(struct: Callable[..., _Probe], path: str, **timing: int) -> _Probe:
    """Make a probe that asks a path of the container's port `http`.

    Args:
        struct: As for `pod_security_context`.
        path: The path.
        timing: Fields of the probe, such as `period_seconds`.
    """
    return struct(http_get=nested(struct, "http_get")(path=path, port="http"), **timing)


def pause_before_stop(struct: Callable[..., _Lifecycle], command: list[str]) -> _Lifecycle:
    """Make the hook that lets a Service stop sending before the container ends.

    Args:
        struct: As for `pod_security_context`.
        command: Sleeps; the container's image has it.
    """
    pre_stop = nested(struct, "pre_stop")
    return struct(pre_stop=[pre_stop(exec=nested(pre_stop, "exec")(command=command))])


def nested(struct: Any, field: str) -> Any:
    """Find the class of a nested field, whose name starts with the outer class's."""
    name = struct.__name__ + "".join(word.capitalize() for word in field.split("_"))
    return getattr(sys.modules[struct.__module__], name)
