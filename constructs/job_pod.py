"""What the pods of all Jobs have in common: the rights that `restricted` leaves, and variables."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

_JOB = tf.job_v1


def pod_security_context(run_as_user: int) -> tf.job_v1.JobV1SpecTemplateSpecSecurityContext:
    """Run as one user that is not root.

    Args:
        run_as_user: User and group.
    """
    return _JOB.JobV1SpecTemplateSpecSecurityContext(
        run_as_non_root=True,
        run_as_user=str(run_as_user),
        run_as_group=str(run_as_user),
        fs_group=str(run_as_user),
        # A volume of models has few files, but NFS answers each chown with an error.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=_JOB.JobV1SpecTemplateSpecSecurityContextSeccompProfile(
            type="RuntimeDefault"
        ),
    )


def container_security_context() -> tf.job_v1.JobV1SpecTemplateSpecContainerSecurityContext:
    """Give up every right that a program in Python does not need."""
    return _JOB.JobV1SpecTemplateSpecContainerSecurityContext(
        # The provider sends `false` where this is left out, and so overrides the pod's.
        run_as_non_root=True,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=_JOB.JobV1SpecTemplateSpecContainerSecurityContextCapabilities(drop=["ALL"]),
    )


def python_env(plain: Mapping[str, str]) -> list[tf.job_v1.JobV1SpecTemplateSpecContainerEnv]:
    """Name the variables of a Python program, Python's own first."""
    return [
        _JOB.JobV1SpecTemplateSpecContainerEnv(name=name, value=value)
        for name, value in {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **plain,
        }.items()
    ]


def secret_env(
    name: str, secret: str, *, optional: bool | None = None
) -> tf.job_v1.JobV1SpecTemplateSpecContainerEnv:
    """Take a variable from the Secret's key of the same name.

    Args:
        name: Of the variable, and of the key.
        secret: In the pod's namespace.
        optional: Whether the pod starts without the variable where the Secret or the key is not
            there; left out: it waits for them.
    """
    return _JOB.JobV1SpecTemplateSpecContainerEnv(
        name=name,
        value_from=_JOB.JobV1SpecTemplateSpecContainerEnvValueFrom(
            secret_key_ref=_JOB.JobV1SpecTemplateSpecContainerEnvValueFromSecretKeyRef(
                name=secret, key=name, optional=optional
            )
        ),
    )
