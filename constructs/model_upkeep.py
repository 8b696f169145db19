"""The upkeep CronJob, which verifies and prunes the volume."""

from __future__ import annotations

from constructs import jobs
from constructs import terraform as tf

from constructs.download_job_spec import DownloadJobSpec
from constructs.endpoint_namespace import EndpointNamespace
from constructs.model_download import ModelDownload
from constructs.model_store import ModelStore
from llama_swap_config.cluster.labels import UPKEEP
from llama_swap_config.cluster.upkeep import Upkeep

_NAME = UPKEEP


class ModelUpkeep(tf.Construct):
    """The download program on a schedule, with the present lock's plan."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        store: ModelStore,
        download: ModelDownload,
        spec: DownloadJobSpec,
        upkeep: Upkeep,
    ) -> None:
        """Declare the CronJob.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: Its namespace.
            store: The volume.
            download: The download Job, whose plan and program it uses.
            spec: How the Job runs.
            upkeep: The settings.
        """
        super().__init__(scope, id)
        jobs.cron_job(
            self,
            name=_NAME,
            namespace=namespace,
            schedule=upkeep.schedule,
            starting_deadline_s=3600,
            job=spec.build(
                component=_NAME,
                program=download.program,
                config_map=download.name,
                store=store,
                # A pod that cannot start or hangs on the volume must not block the next Job; a
                # failed Job stays for a week to be noticed.
                active_deadline_s=6 * 3600,
                ttl_s_after_finished=7 * 24 * 3600,
                args=(
                    "--verify",
                    *(("--quarantine",) if upkeep.quarantine else ()),
                    *("--rate-mb-s", str(upkeep.verify_rate_mb_s)),
                    "--prune",
                    *("--grace-h", str(upkeep.prune_grace_h)),
                ),
            ),
            depends_on=[download.config_map, store.claim],
        )
