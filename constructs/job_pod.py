"""The environment of the Python programs that Jobs run."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

_JOB = tf.job_v1


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
