"""The CronJob that restores the tenants of an abandoned GPU window."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import jobs
from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.gpu_window_account import GpuWindowAccount
from constructs.pod_program import PodProgram
from in_pod.gpu_window.contract import PATIENCE_S, READY_S, TERMINATE_S
from llama_swap_config.cluster.gpu_tenants import GpuTenant, ImmichQueues
from llama_swap_config.cluster.labels import RESTORE, selector
from llama_swap_config.cluster.pod_resources import Taint

_JOB = tf.job_v1

_NAME = RESTORE


class GpuWindowRestore(tf.Construct):
    """Restores the tenants after a window whose owner was killed or lost its network."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        tenants: tuple[GpuTenant, ...],
        schedule: str,
        modules: Mapping[str, str],
        shared: Mapping[str, Mapping[str, str]],
        image: str,
        run_as_user: int,
        taints: tuple[Taint, ...],
    ) -> None:
        """Declare ConfigMap, account and CronJob.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The endpoint's namespace, which holds the window's Lease.
            tenants: The tenants to restore.
            schedule: Cron schedule, in the time zone of the kube-controller-manager.
            modules: The modules of the program, by file name.
            shared: The packages that it imports: name -> modules.
            image: An image with Python 3.11 or later, by digest.
            run_as_user: User and group of the pod.
            taints: The GPU node's taints, which the pod tolerates: it may be the only node.
        """
        super().__init__(scope, id)
        program = PodProgram(
            package="gpu_window", modules=modules, shared=shared, directory="/gpu-window"
        )
        config_map = program.config_map(
            self, "program", namespace=namespace, name=_NAME, component=_NAME
        )
        account = GpuWindowAccount(
            self, "account", name=_NAME, namespace=namespace, tenants=tenants
        )
        queues = next((tenant.queues for tenant in tenants if tenant.queues is not None), None)
        jobs.cron_job(
            self,
            name=_NAME,
            namespace=namespace,
            schedule=schedule,
            # After a longer outage of the controller the next run comes soon enough.
            starting_deadline_s=120,
            job=_JOB.JobV1Spec(
                # The next run is the retry.
                backoff_limit=1,
                # Covers every wait of a restore; the last minute is for its requests.
                active_deadline_seconds=(len(tenants) * TERMINATE_S + READY_S + PATIENCE_S + 60),
                template=_JOB.JobV1SpecTemplate(
                    metadata=_JOB.JobV1SpecTemplateMetadata(labels=selector(_NAME)),
                    spec=jobs.program_pod(
                        program,
                        name=_NAME,
                        volume="program",
                        config_map=_NAME,
                        image=image,
                        args=["--namespace", namespace.name, *_declared(tenants)],
                        env=_env(queues),
                        requests={"cpu": "50m", "memory": "48Mi", "ephemeral-storage": "16Mi"},
                        limits={"memory": "128Mi", "ephemeral-storage": "64Mi"},
                        run_as_user=run_as_user,
                        taints=taints,
                        service_account=account.name,
                    ),
                ),
            ),
            depends_on=[config_map, *(grant.binding for grant in account.grants)],
        )


def _declared(tenants: tuple[GpuTenant, ...]) -> list[str]:
    """Name what the program may change, whatever the Lease says."""
    args = []
    for tenant in tenants:
        args += ["--tenant", f"{tenant.kind}/{tenant.namespace}/{tenant.name}"]
        for queue in () if tenant.queues is None else tenant.queues.names:
            args += ["--queue", queue]
    return args


def _env(queues: ImmichQueues | None) -> list[tf.job_v1.JobV1SpecTemplateSpecContainerEnv]:
    if queues is None:
        return jobs.python_env({})
    env = jobs.python_env({"IMMICH_URL": queues.url})
    if queues.api_key_secret is not None:
        # Optional: without the key only the queues stay paused, without the pod everything.
        env.append(jobs.secret_env("IMMICH_API_KEY", queues.api_key_secret, optional=True))
    return env
