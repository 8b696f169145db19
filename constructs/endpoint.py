"""The front end's ConfigMap, its Deployment on the GPU, and its Service."""

from __future__ import annotations

import hashlib

from constructs import terraform as tf

from constructs.cuda_cache import CudaCache
from constructs.endpoint_namespace import EndpointNamespace
from constructs.gives_way import GivesWay
from constructs.model_store import ModelStore
from constructs.model_warm_up import ModelWarmUp
from constructs.pod import (
    container_security_context,
    http_probe,
    pause_before_stop,
    pod_security_context,
    tolerations,
)
from constructs.service import service
from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, ENDPOINT_REPLICAS
from llama_swap_config.cluster.labels import (
    CONFIG_ANNOTATION,
    WARM_UP_ANNOTATION,
    labels,
    selector,
)
from llama_swap_config.cluster.pod_resources import Gpu, PodResources
from llama_swap_config.front_ends.front_end import CONFIG_DIR, FrontEndProgram

_DEP = tf.deployment_v1

# The same name for both front ends: otherwise a change of front end would create a second
# Deployment, whose pod would wait for the GPU.
_NAME = ENDPOINT_DEPLOYMENT


class Endpoint(tf.Construct):
    """A front end with its models: one pod on its GPUs behind one Service.

    The configuration's sha256 is an annotation of the pod, so a change restarts it; a reload would
    stop every model too. Terraform does not wait for the rollout, because the GPU may be in use;
    `python -m ops deploy` shows what is pending and why.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        name: str,
        port: int,
        program: FrontEndProgram,
        image: str,
        store: ModelStore,
        warm_up: ModelWarmUp | None,
        gpu: Gpu,
        slices: int,
        gives_way: GivesWay | None,
        cuda_cache: CudaCache | None,
        resources: PodResources,
        run_as_user: int,
        pre_stop_s: int,
        termination_grace_period_s: int,
        api_key_secret: str | None,
    ) -> None:
        """Declare ConfigMap, Deployment and Service.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: Their namespace.
            name: The Service's name, which is the endpoint's host name.
            port: The port of Service and pod.
            program: The front end.
            image: The image of llama-swap and llama-server, by digest.
            store: The volume with the models, mounted read-only.
            warm_up: The init container that reads the models into the page cache; None for none.
                The Deployment counts as stuck ten minutes after the longest warm-up.
            gpu: The GPU and its node.
            slices: How many of the GPU's extended resource the pod requests: cards, or slices of
                one.
            gives_way: The PriorityClass by which the pod leaves the GPU to others; None for the
                cluster's default.
            cuda_cache: The volume of compiled kernels; None: each pod compiles its own.
            resources: Requests and limits beside the GPU.
            run_as_user: User and group of the pod.
            pre_stop_s: Seconds between the pod's removal from the Service and SIGTERM.
            termination_grace_period_s: Seconds until SIGKILL, including that pause.
            api_key_secret: Secret whose keys become environment variables; None for none.
        """
        super().__init__(scope, id)
        self._port = port
        self._program = program
        config_map = tf.config_map_v1.ConfigMapV1(
            self,
            "config",
            metadata=tf.config_map_v1.ConfigMapV1Metadata(
                name=_NAME, namespace=namespace.name, labels=labels(_NAME)
            ),
            data={program.config_key: tf.terraform_text(program.config)},
            depends_on=[namespace.resource],
        )
        _DEP.DeploymentV1(
            self,
            "Resource",
            metadata=_DEP.DeploymentV1Metadata(
                name=_NAME, namespace=namespace.name, labels=labels(_NAME)
            ),
            spec=_DEP.DeploymentV1Spec(
                replicas=str(ENDPOINT_REPLICAS),
                revision_history_limit=3,
                progress_deadline_seconds=600 + (0 if warm_up is None else warm_up.wait_s),
                # No GPU is spare: the old pod has to end before the new one starts.
                strategy=_DEP.DeploymentV1SpecStrategy(type="Recreate"),
                selector=_DEP.DeploymentV1SpecSelector(match_labels=selector(_NAME)),
                template=_DEP.DeploymentV1SpecTemplate(
                    metadata=_DEP.DeploymentV1SpecTemplateMetadata(
                        labels=selector(_NAME),
                        annotations={
                            CONFIG_ANNOTATION: hashlib.sha256(program.config.encode()).hexdigest()
                        }
                        | ({} if warm_up is None else {WARM_UP_ANNOTATION: warm_up.checksum}),
                    ),
                    spec=self._pod(
                        container=self._container(
                            image,
                            {gpu.resource: str(slices)},
                            resources,
                            pre_stop_s,
                            api_key_secret,
                            cuda_cache,
                        ),
                        store=store,
                        warm_up=warm_up,
                        gpu=gpu,
                        gives_way=gives_way,
                        cuda_cache=cuda_cache,
                        run_as_user=run_as_user,
                        termination_grace_period_s=termination_grace_period_s,
                    ),
                ),
            ),
            wait_for_rollout=False,
            depends_on=[
                config_map,
                store.claim,
                *([] if warm_up is None else [warm_up.config_map]),
                *([] if gives_way is None else [gives_way.resource]),
                # Not the cache's claim: without it, Terraform would first wait until the claim is
                # gone, and the pod that mounts it would not be replaced until then.
            ],
        )
        service(
            self,
            "service",
            namespace=namespace,
            name=name,
            component=_NAME,
            port=port,
        )

    def _pod(
        self,
        *,
        container: tf.deployment_v1.DeploymentV1SpecTemplateSpecContainer,
        store: ModelStore,
        warm_up: ModelWarmUp | None,
        gpu: Gpu,
        gives_way: GivesWay | None,
        cuda_cache: CudaCache | None,
        run_as_user: int,
        termination_grace_period_s: int,
    ) -> tf.deployment_v1.DeploymentV1SpecTemplateSpec:
        return _DEP.DeploymentV1SpecTemplateSpec(
            automount_service_account_token=False,
            enable_service_links=False,
            termination_grace_period_seconds=termination_grace_period_s,
            node_selector=dict(gpu.node_selector),
            runtime_class_name=gpu.runtime_class,
            priority_class_name=None if gives_way is None else gives_way.name,
            toleration=tolerations(_DEP.DeploymentV1SpecTemplateSpecToleration, gpu.taints),
            security_context=pod_security_context(
                _DEP.DeploymentV1SpecTemplateSpecSecurityContext, run_as_user
            ),
            init_container=None if warm_up is None else [warm_up.init_container],
            container=[container],
            volume=[
                *([] if warm_up is None else [warm_up.volume]),
                _DEP.DeploymentV1SpecTemplateSpecVolume(
                    name="config",
                    config_map=_DEP.DeploymentV1SpecTemplateSpecVolumeConfigMap(name=_NAME),
                ),
                store.volume(_DEP.DeploymentV1SpecTemplateSpecVolume),
                *(
                    []
                    if cuda_cache is None
                    else [cuda_cache.volume(_DEP.DeploymentV1SpecTemplateSpecVolume)]
                ),
                *(
                    _DEP.DeploymentV1SpecTemplateSpecVolume(
                        name=name,
                        empty_dir=_DEP.DeploymentV1SpecTemplateSpecVolumeEmptyDir(
                            size_limit=size_limit
                        ),
                    )
                    for name, size_limit in (("home", "1Gi"), ("tmp", "1Gi"))
                ),
            ],
        )

    def _container(
        self,
        image: str,
        gpu_slices: dict[str, str],
        resources: PodResources,
        pre_stop_s: int,
        api_key_secret: str | None,
        cuda_cache: CudaCache | None,
    ) -> tf.deployment_v1.DeploymentV1SpecTemplateSpecContainer:
        mount = _DEP.DeploymentV1SpecTemplateSpecContainerVolumeMount
        return _DEP.DeploymentV1SpecTemplateSpecContainer(
            name=_NAME,
            image=image,
            image_pull_policy="IfNotPresent",
            command=["/bin/sh", "-c", tf.terraform_text(self._program.script)],
            env=[
                _DEP.DeploymentV1SpecTemplateSpecContainerEnv(name=name, value=value)
                for name, value in (
                    ("HOME", "/home/llama"),
                    # The image has no machine code for a T4; the driver compiles it once.
                    *(
                        (
                            ("CUDA_CACHE_PATH", "/home/llama/cuda-cache"),
                            ("CUDA_CACHE_MAXSIZE", str(512 * 1024 * 1024)),
                        )
                        if cuda_cache is None
                        else (
                            ("CUDA_CACHE_PATH", cuda_cache.path),
                            ("CUDA_CACHE_MAXSIZE", str(cuda_cache.max_size_bytes)),
                        )
                    ),
                    ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
                    *self._program.env.items(),
                )
            ],
            env_from=None
            if api_key_secret is None
            else [
                _DEP.DeploymentV1SpecTemplateSpecContainerEnvFrom(
                    secret_ref=_DEP.DeploymentV1SpecTemplateSpecContainerEnvFromSecretRef(
                        name=api_key_secret
                    )
                )
            ],
            port=[
                _DEP.DeploymentV1SpecTemplateSpecContainerPort(
                    name="http", container_port=self._port, protocol="TCP"
                )
            ],
            resources=_DEP.DeploymentV1SpecTemplateSpecContainerResources(
                requests={
                    "cpu": f"{resources.cpu_request_millicores}m",
                    "memory": f"{resources.memory_request_gib}Gi",
                    "ephemeral-storage": "1Gi",
                    **gpu_slices,
                },
                limits={
                    "memory": f"{resources.memory_limit_gib}Gi",
                    "ephemeral-storage": f"{resources.ephemeral_storage_limit_gib}Gi",
                    **gpu_slices,
                },
            ),
            security_context=container_security_context(
                _DEP.DeploymentV1SpecTemplateSpecContainerSecurityContext
            ),
            startup_probe=http_probe(
                _DEP.DeploymentV1SpecTemplateSpecContainerStartupProbe,
                self._program.health_path,
                period_seconds=2,
                failure_threshold=30,
            ),
            readiness_probe=http_probe(
                _DEP.DeploymentV1SpecTemplateSpecContainerReadinessProbe,
                self._program.health_path,
                period_seconds=5,
                timeout_seconds=3,
            ),
            liveness_probe=http_probe(
                _DEP.DeploymentV1SpecTemplateSpecContainerLivenessProbe,
                self._program.health_path,
                period_seconds=20,
                timeout_seconds=5,
                failure_threshold=6,
            ),
            lifecycle=pause_before_stop(
                _DEP.DeploymentV1SpecTemplateSpecContainerLifecycle,
                ["/bin/sleep", str(pre_stop_s)],
            ),
            volume_mount=[
                # A directory: the kubelet never updates a subPath.
                mount(name="config", mount_path=CONFIG_DIR, read_only=True),
                mount(name="models", mount_path="/models", read_only=True),
                *(
                    []
                    if cuda_cache is None
                    else [mount(name="cuda-cache", mount_path=cuda_cache.path)]
                ),
                mount(name="home", mount_path="/home/llama"),
                mount(name="tmp", mount_path="/tmp"),  # noqa: S108 - the container's own.
            ],
        )
