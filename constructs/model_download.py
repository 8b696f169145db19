"""The download Job: fills the volume with exactly the files that the lock names."""

from __future__ import annotations

import hashlib
import json

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.labels import labels, selector
from constructs.model_store import ModelStore

_JOB = tf.job_v1

PLAN_KEY = "download-plan.json"
PROGRAM_KEY = "download.py"


class ModelDownload(tf.Construct):
    """A Job named by what it does: the same files and program are the same Job, run once.

    Its ConfigMap is named alike, so a Job that still runs keeps the plan it started with. It has
    no TTL: a Job that deletes itself is re-created by every plan. Terraform does not wait for it.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        store: ModelStore,
        plan: str,
        program: str,
        image: str,
        run_as_user: int,
        taint_key: str,
        hf_token_secret: str | None,
    ) -> None:
        """Declare Job and ConfigMap.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: Their namespace.
            store: The volume to fill.
            plan: The download plan, JSON.
            program: The source of the download program.
            image: An image with Python 3.11 or later, by digest.
            run_as_user: User and group of the pod.
            taint_key: The GPU node's taint, which the pod tolerates: a local volume is there.
            hf_token_secret: Secret with the key HF_TOKEN; None: anonymous downloads.
        """
        super().__init__(scope, id)
        content = json.dumps([plan, program, image, run_as_user, taint_key, hf_token_secret])
        self.name = f"model-download-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
        config_map = tf.config_map_v1.ConfigMapV1(
            self,
            "plan",
            metadata=tf.config_map_v1.ConfigMapV1Metadata(
                name=self.name, namespace=namespace.name, labels=labels("model-download")
            ),
            data={
                PLAN_KEY: tf.terraform_text(plan),
                PROGRAM_KEY: tf.terraform_text(program),
            },
            depends_on=[namespace.resource],
        )
        self.resource = _JOB.JobV1(
            self,
            "Resource",
            metadata=_JOB.JobV1Metadata(
                name=self.name, namespace=namespace.name, labels=labels("model-download")
            ),
            spec=_JOB.JobV1Spec(
                backoff_limit=10,
                pod_failure_policy=_failure_policy(),
                template=_JOB.JobV1SpecTemplate(
                    metadata=_JOB.JobV1SpecTemplateMetadata(labels=selector("model-download")),
                    spec=self._pod(store, image, run_as_user, taint_key, hf_token_secret),
                ),
            ),
            wait_for_completion=False,
            depends_on=[config_map, store.claim],
        )

    def _pod(
        self,
        store: ModelStore,
        image: str,
        run_as_user: int,
        taint_key: str,
        hf_token_secret: str | None,
    ) -> tf.job_v1.JobV1SpecTemplateSpec:
        return _JOB.JobV1SpecTemplateSpec(
            restart_policy="Never",
            automount_service_account_token=False,
            enable_service_links=False,
            termination_grace_period_seconds=30,
            security_context=_JOB.JobV1SpecTemplateSpecSecurityContext(
                run_as_non_root=True,
                run_as_user=str(run_as_user),
                run_as_group=str(run_as_user),
                fs_group=str(run_as_user),
                # A volume of models has few files, but NFS answers each chown with an error.
                fs_group_change_policy="OnRootMismatch",
                seccomp_profile=_JOB.JobV1SpecTemplateSpecSecurityContextSeccompProfile(
                    type="RuntimeDefault"
                ),
            ),
            toleration=[_JOB.JobV1SpecTemplateSpecToleration(key=taint_key, operator="Exists")],
            container=[self._container(image, hf_token_secret)],
            volume=[
                _JOB.JobV1SpecTemplateSpecVolume(
                    name="models",
                    persistent_volume_claim=(
                        _JOB.JobV1SpecTemplateSpecVolumePersistentVolumeClaim(
                            claim_name=store.claim_name
                        )
                    ),
                ),
                _JOB.JobV1SpecTemplateSpecVolume(
                    name="download",
                    config_map=_JOB.JobV1SpecTemplateSpecVolumeConfigMap(name=self.name),
                ),
            ],
        )

    def _container(
        self, image: str, hf_token_secret: str | None
    ) -> tf.job_v1.JobV1SpecTemplateSpecContainer:
        env = [
            _JOB.JobV1SpecTemplateSpecContainerEnv(name="PYTHONUNBUFFERED", value="1"),
            _JOB.JobV1SpecTemplateSpecContainerEnv(name="PYTHONDONTWRITEBYTECODE", value="1"),
        ]
        if hf_token_secret is not None:
            env.append(
                _JOB.JobV1SpecTemplateSpecContainerEnv(
                    name="HF_TOKEN",
                    value_from=_JOB.JobV1SpecTemplateSpecContainerEnvValueFrom(
                        secret_key_ref=(
                            _JOB.JobV1SpecTemplateSpecContainerEnvValueFromSecretKeyRef(
                                name=hf_token_secret, key="HF_TOKEN"
                            )
                        )
                    ),
                )
            )
        return _JOB.JobV1SpecTemplateSpecContainer(
            name="download",
            image=image,
            image_pull_policy="IfNotPresent",
            command=["python3", f"/download/{PROGRAM_KEY}"],
            args=["--plan", f"/download/{PLAN_KEY}", "--models", "/models"],
            env=env,
            resources=_JOB.JobV1SpecTemplateSpecContainerResources(
                requests={"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
                # The program needs 30 MiB; the rest is for pages that NFS has not taken yet.
                limits={"memory": "1Gi", "ephemeral-storage": "256Mi"},
            ),
            security_context=_JOB.JobV1SpecTemplateSpecContainerSecurityContext(
                # The provider sends `false` where this is left out, and so overrides the pod's.
                run_as_non_root=True,
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=_JOB.JobV1SpecTemplateSpecContainerSecurityContextCapabilities(
                    drop=["ALL"]
                ),
            ),
            volume_mount=[
                _JOB.JobV1SpecTemplateSpecContainerVolumeMount(
                    name="models", mount_path="/models"
                ),
                _JOB.JobV1SpecTemplateSpecContainerVolumeMount(
                    name="download", mount_path="/download", read_only=True
                ),
            ],
        )


def _failure_policy() -> tf.job_v1.JobV1SpecPodFailurePolicy:
    """End the Job at once on what no retry heals; the codes are those of in_pod/download.py."""
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
                    container_name="download", operator="In", values=[28, 65, 77, 78]
                ),
            ),
        ]
    )
