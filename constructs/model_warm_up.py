"""The serving pod's init container that reads the models into the node's page cache."""

from __future__ import annotations

import hashlib

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import container_security_context
from llama_swap_config.cluster.labels import labels

_DEP = tf.deployment_v1

_NAME = "model-warm-up"
_PLAN_KEY = "warm-plan.json"
_PROGRAM_KEY = "warm.py"


class ModelWarmUp(tf.Construct):
    """Waits for the download Job, which starts at the same time, then warms; never fails the pod.

    In the serving pod and not in the Job: a page is cached by the kernel that reads it, and lasts
    as long as the volume stays mounted there (ADR 0007).
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        plan: str,
        program: str,
        image: str,
        wait_s: int,
        memory_limit_mib: int,
    ) -> None:
        """Declare the ConfigMap; the Deployment takes the init container and its volume.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The ConfigMap's namespace.
            plan: The warm plan, JSON.
            program: The source of the warm program.
            image: An image with Python 3.11 or later, by digest.
            wait_s: Seconds to wait for the models before the pod starts without them.
            memory_limit_mib: Holds the largest model: its pages count against this container.
        """
        super().__init__(scope, id)
        self.wait_s = wait_s
        self.checksum = hashlib.sha256((plan + program).encode()).hexdigest()
        self.config_map = tf.config_map_v1.ConfigMapV1(
            self,
            "plan",
            metadata=tf.config_map_v1.ConfigMapV1Metadata(
                name=_NAME, namespace=namespace.name, labels=labels(_NAME)
            ),
            data={
                _PLAN_KEY: tf.terraform_text(plan),
                _PROGRAM_KEY: tf.terraform_text(program),
            },
            depends_on=[namespace.resource],
        )
        self.volume = _DEP.DeploymentV1SpecTemplateSpecVolume(
            name="warm-up",
            config_map=_DEP.DeploymentV1SpecTemplateSpecVolumeConfigMap(name=_NAME),
        )
        mount = _DEP.DeploymentV1SpecTemplateSpecInitContainerVolumeMount
        self.init_container = _DEP.DeploymentV1SpecTemplateSpecInitContainer(
            name="warm-up",
            image=image,
            image_pull_policy="IfNotPresent",
            command=["python3", f"/warm-up/{_PROGRAM_KEY}"],
            args=[
                *("--plan", f"/warm-up/{_PLAN_KEY}"),
                *("--models", "/models"),
                *("--wait-s", str(wait_s)),
            ],
            env=[
                _DEP.DeploymentV1SpecTemplateSpecInitContainerEnv(
                    name="PYTHONDONTWRITEBYTECODE", value="1"
                )
            ],
            resources=_DEP.DeploymentV1SpecTemplateSpecInitContainerResources(
                requests={"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
                limits={"memory": f"{memory_limit_mib}Mi", "ephemeral-storage": "64Mi"},
            ),
            security_context=container_security_context(
                _DEP.DeploymentV1SpecTemplateSpecInitContainerSecurityContext
            ),
            volume_mount=[
                mount(name="models", mount_path="/models", read_only=True),
                mount(name="warm-up", mount_path="/warm-up", read_only=True),
            ],
        )
