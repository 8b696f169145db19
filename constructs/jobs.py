"""Shared parts of the Jobs and CronJobs that run a program of in_pod/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.model_store import ModelStore
from constructs.pod import container_security_context, pod_security_context, tolerations
from constructs.pod_program import PodProgram
from llama_swap_config.cluster.labels import labels
from llama_swap_config.cluster.pod_resources import Taint

_CRON = tf.cron_job_v1
_JOB = tf.job_v1


def cron_job(
    scope: tf.Construct,
    *,
    name: str,
    namespace: EndpointNamespace,
    schedule: str,
    starting_deadline_s: int,
    job: tf.job_v1.JobV1Spec,
    depends_on: Sequence[tf.TerraformResource],
) -> None:
    """Declare a CronJob that runs one Job at a time.

    Args:
        scope: Its construct.
        name: Its name and component.
        namespace: Its namespace.
        schedule: Cron schedule, in the time zone of the kube-controller-manager.
        starting_deadline_s: Seconds after which a missed start is skipped.
        job: The Job's spec.
        depends_on: Resources to create first.
    """
    _CRON.CronJobV1(
        scope,
        "Resource",
        metadata=_CRON.CronJobV1Metadata(name=name, namespace=namespace.name, labels=labels(name)),
        spec=_CRON.CronJobV1Spec(
            schedule=schedule,
            concurrency_policy="Forbid",
            starting_deadline_seconds=starting_deadline_s,
            successful_jobs_history_limit=1,
            failed_jobs_history_limit=1,
            job_template=_CRON.CronJobV1SpecJobTemplate(
                metadata=_CRON.CronJobV1SpecJobTemplateMetadata(labels=labels(name)),
                spec=tf.job_template_spec(job),
            ),
        ),
        depends_on=depends_on,
    )


def program_pod(
    program: PodProgram,
    *,
    name: str,
    volume: str,
    config_map: str,
    image: str,
    args: list[str],
    env: list[tf.job_v1.JobV1SpecTemplateSpecContainerEnv],
    requests: Mapping[str, str],
    limits: Mapping[str, str],
    run_as_user: int,
    taints: tuple[Taint, ...],
    node_selector: Mapping[str, str] | None = None,
    store: ModelStore | None = None,
    service_account: str | None = None,
) -> tf.job_v1.JobV1SpecTemplateSpec:
    """Build the pod of a Job that runs a program, which may run on the GPU node.

    Args:
        program: The program.
        name: Its container's name.
        volume: The name of the program's volume.
        config_map: The program's ConfigMap.
        image: An image with Python 3.11 or later, by digest.
        args: The program's arguments.
        env: Its environment.
        requests: Its resource requests.
        limits: Its resource limits.
        run_as_user: User and group.
        taints: The GPU node's taints, which it tolerates.
        node_selector: Labels of the nodes where it may run (default: any node).
        store: The models' volume to mount at /models (default: none).
        service_account: The service account whose token it mounts (default: none).
    """
    volume_struct = _JOB.JobV1SpecTemplateSpecVolume
    mount = _JOB.JobV1SpecTemplateSpecContainerVolumeMount
    container = _JOB.JobV1SpecTemplateSpecContainer(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=program.command,
        working_dir=program.directory,
        args=args,
        env=env,
        resources=_JOB.JobV1SpecTemplateSpecContainerResources(requests=requests, limits=limits),
        security_context=container_security_context(
            _JOB.JobV1SpecTemplateSpecContainerSecurityContext
        ),
        volume_mount=[
            *([] if store is None else [mount(name="models", mount_path="/models")]),
            mount(name=volume, mount_path=program.directory, read_only=True),
        ],
    )
    return _JOB.JobV1SpecTemplateSpec(
        restart_policy="Never",
        service_account_name=service_account,
        automount_service_account_token=service_account is not None,
        enable_service_links=False,
        termination_grace_period_seconds=30,
        security_context=pod_security_context(
            _JOB.JobV1SpecTemplateSpecSecurityContext, run_as_user
        ),
        node_selector=dict(node_selector or {}) or None,
        toleration=tolerations(_JOB.JobV1SpecTemplateSpecToleration, taints),
        container=[container],
        volume=[
            *([] if store is None else [store.volume(volume_struct)]),
            program.volume(volume_struct, volume, config_map),
        ],
    )


def python_env(plain: Mapping[str, str]) -> list[tf.job_v1.JobV1SpecTemplateSpecContainerEnv]:
    """Make the environment of a Python program."""
    own = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return [
        _JOB.JobV1SpecTemplateSpecContainerEnv(name=name, value=value)
        for name, value in {**own, **plain}.items()
    ]


def secret_env(
    name: str, secret: str, *, optional: bool | None = None
) -> tf.job_v1.JobV1SpecTemplateSpecContainerEnv:
    """Make a variable from the key of the same name in a Secret.

    Args:
        name: Name of the variable and of the key.
        secret: A Secret in the pod's namespace.
        optional: Whether the pod starts if the Secret or the key is missing (default: it waits).
    """
    return _JOB.JobV1SpecTemplateSpecContainerEnv(
        name=name,
        value_from=_JOB.JobV1SpecTemplateSpecContainerEnvValueFrom(
            secret_key_ref=_JOB.JobV1SpecTemplateSpecContainerEnvValueFromSecretKeyRef(
                name=secret, key=name, optional=optional
            )
        ),
    )
