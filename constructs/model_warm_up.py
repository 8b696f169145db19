"""The serving pod's init container, which reads the models into the node's page cache."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import container_security_context
from constructs.pod_program import PodProgram
from in_pod.warm.contract import PLAN_FILE

_DEP = tf.deployment_v1

_NAME = "model-warm-up"


class ModelWarmUp(tf.Construct):
    """Waits for the download Job, which starts at the same time, then warms; never fails the pod.

    It runs in the serving pod, because the kernel that reads a page caches it, as long as the
    volume stays mounted on that node (ADR 0007).
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        plan: str,
        modules: Mapping[str, str],
        image: str,
        wait_s: int,
        memory_limit_mib: int,
    ) -> None:
        """Declare the ConfigMap; the Deployment adds the init container and its volume.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The ConfigMap's namespace.
            plan: The warm plan, JSON.
            modules: The warm program: file name -> source.
            image: An image with Python 3.11 or later, by digest.
            wait_s: Seconds to wait for the models before the pod starts without them.
            memory_limit_mib: Covers the largest model, whose pages count against the container.
        """
        super().__init__(scope, id)
        self.wait_s = wait_s
        program = PodProgram(
            package="warm", modules=modules, directory="/warm-up", files={PLAN_FILE: plan}
        )
        self.checksum = program.sha256
        self.config_map = program.config_map(
            self, "plan", namespace=namespace, name=_NAME, component=_NAME
        )
        self.volume = program.volume(_DEP.DeploymentV1SpecTemplateSpecVolume, "warm-up", _NAME)
        mount = _DEP.DeploymentV1SpecTemplateSpecInitContainerVolumeMount
        self.init_container = _DEP.DeploymentV1SpecTemplateSpecInitContainer(
            name="warm-up",
            image=image,
            image_pull_policy="IfNotPresent",
            command=program.command,
            working_dir=program.directory,
            args=[
                *("--plan", f"{program.directory}/{PLAN_FILE}"),
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
                mount(name="warm-up", mount_path=program.directory, read_only=True),
            ],
        )
