"""The Job spec of the download program, for the download Job and the upkeep CronJob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from constructs import jobs
from constructs import terraform as tf

from constructs.model_store import ModelStore
from constructs.pod_program import PodProgram
from in_pod.download.contract import NO_RETRY_HELPS, PLAN_FILE
from llama_swap_config.cluster.labels import selector
from llama_swap_config.cluster.pod_resources import Taint

_JOB = tf.job_v1


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadJobSpec:
    """How a Job runs the download program."""

    image: str
    """An image with Python 3.11 or later, by digest."""
    run_as_user: int
    """User and group of the pod."""
    node_selector: Mapping[str, str]
    """Labels of the nodes where the pod may run; empty: any node."""
    taints: tuple[Taint, ...]
    """The GPU node's taints, which the pod tolerates because a local volume is there."""
    env: Mapping[str, str]
    """HF_ENDPOINT and HTTPS_PROXY where they are set."""
    hf_token_secret: str | None
    """Secret with the key HF_TOKEN; None for anonymous downloads."""

    def build(
        self,
        *,
        component: str,
        program: PodProgram,
        config_map: str,
        store: ModelStore,
        args: tuple[str, ...] = (),
        active_deadline_s: int | None = None,
        ttl_s_after_finished: int | None = None,
    ) -> tf.job_v1.JobV1Spec:
        """Build the spec.

        Args:
            component: The pod's label.
            program: The download program with its plan.
            config_map: Name of their ConfigMap.
            store: The volume.
            args: Further arguments of the program (default: none; it downloads).
            active_deadline_s: Seconds after which the Job is ended (default: none).
            ttl_s_after_finished: Seconds after which a finished Job is deleted (default: never).
        """
        env = jobs.python_env(self.env)
        if self.hf_token_secret is not None:
            env.append(jobs.secret_env("HF_TOKEN", self.hf_token_secret))
        return _JOB.JobV1Spec(
            backoff_limit=10,
            active_deadline_seconds=active_deadline_s,
            ttl_seconds_after_finished=(
                None if ttl_s_after_finished is None else str(ttl_s_after_finished)
            ),
            pod_failure_policy=_failure_policy(),
            template=_JOB.JobV1SpecTemplate(
                metadata=_JOB.JobV1SpecTemplateMetadata(labels=selector(component)),
                spec=jobs.program_pod(
                    program,
                    name="download",
                    volume="download",
                    config_map=config_map,
                    image=self.image,
                    args=[
                        *("--plan", f"{program.directory}/{PLAN_FILE}"),
                        *("--models", "/models"),
                        *args,
                    ],
                    env=env,
                    requests={"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
                    # The program needs 40 MiB; the rest is for pages not yet written to NFS.
                    limits={"memory": "1Gi", "ephemeral-storage": "256Mi"},
                    run_as_user=self.run_as_user,
                    node_selector=self.node_selector,
                    taints=self.taints,
                    store=store,
                ),
            ),
        )


def _failure_policy() -> tf.job_v1.JobV1SpecPodFailurePolicy:
    """Fail the Job at once on errors that no retry can fix."""
    return _JOB.JobV1SpecPodFailurePolicy(
        rule=[
            _JOB.JobV1SpecPodFailurePolicyRule(
                action="Ignore",
                on_pod_condition=[
                    _JOB.JobV1SpecPodFailurePolicyRuleOnPodCondition(
                        type="DisruptionTarget", status="True"
                    )
                ],
            ),
            _JOB.JobV1SpecPodFailurePolicyRule(
                action="FailJob",
                on_exit_codes=_JOB.JobV1SpecPodFailurePolicyRuleOnExitCodes(
                    container_name="download", operator="In", values=list(NO_RETRY_HELPS)
                ),
            ),
        ]
    )
