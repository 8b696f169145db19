"""LiteLLM in front of the endpoint: its Deployment and its Service."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.gateway_files import GatewayFiles
from constructs.pod import (
    container_security_context,
    http_probe,
    pause_before_stop,
    pod_security_context,
    tolerations,
)
from constructs.service import service
from in_pod.gateway.contract import (
    CONFIG_DIR,
    CONFIG_FILE,
    ENDPOINT_KEY_VARIABLE,
    HOOKS_DIR,
    KEYS_DIR,
    KEYS_VARIABLE,
    PACKAGE,
    POLICY_FILE,
    POLICY_VARIABLE,
)
from llama_swap_config.cluster.labels import CONFIG_ANNOTATION, GATEWAY, labels, selector
from llama_swap_config.cluster.pod_resources import Taint
from llama_swap_config.gateway import settings
from llama_swap_config.gateway.litellm import ENVIRONMENT

_DEP = tf.deployment_v1
_POD = _DEP.DeploymentV1SpecTemplateSpec
_VOLUME = _DEP.DeploymentV1SpecTemplateSpecVolume
_CONTAINER = _DEP.DeploymentV1SpecTemplateSpecContainer
_ENV = _DEP.DeploymentV1SpecTemplateSpecContainerEnv

_NAME = GATEWAY
_TMP = "/tmp"  # noqa: S108 - the container's own.
_PRE_STOP_S = 5
"""Seconds before SIGTERM, so that the Service stops sending before LiteLLM stops listening."""
_START_S = 180
"""Seconds that a start may take; it took 7 on two idle cores."""


class Gateway(tf.Construct):
    """LiteLLM without a database, with our hooks in front of it.

    A change of its files starts a new pod before the old one ends, which first answers what it has
    begun. New keys need no new pod: the kubelet updates the mounted Secret.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        gateway: settings.Gateway,
        files: GatewayFiles,
        endpoint_key: tuple[str, str],
        timeout_s: int,
        run_as_user: int,
        taints: tuple[Taint, ...],
    ) -> None:
        """Declare Deployment and Service.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The endpoint's namespace.
            gateway: The settings.
            files: What LiteLLM reads.
            endpoint_key: Secret and key of the endpoint's API key.
            timeout_s: Seconds that an answer may take, a load included.
            run_as_user: User and group of the pod.
            taints: The GPU node's taints, which the pod tolerates: it may be the only node.
        """
        super().__init__(scope, id)
        _DEP.DeploymentV1(
            self,
            "Resource",
            metadata=_DEP.DeploymentV1Metadata(
                name=_NAME, namespace=namespace.name, labels=labels(_NAME)
            ),
            spec=_DEP.DeploymentV1Spec(
                replicas=str(gateway.replicas),
                revision_history_limit=3,
                strategy=_DEP.DeploymentV1SpecStrategy(
                    type="RollingUpdate",
                    rolling_update=_DEP.DeploymentV1SpecStrategyRollingUpdate(
                        max_surge="25%", max_unavailable="0%"
                    ),
                ),
                selector=_DEP.DeploymentV1SpecSelector(match_labels=selector(_NAME)),
                template=_DEP.DeploymentV1SpecTemplate(
                    metadata=_DEP.DeploymentV1SpecTemplateMetadata(
                        labels=selector(_NAME), annotations={CONFIG_ANNOTATION: files.sha256}
                    ),
                    spec=_POD(
                        automount_service_account_token=False,
                        enable_service_links=False,
                        termination_grace_period_seconds=_PRE_STOP_S + timeout_s + 10,
                        toleration=tolerations(
                            _DEP.DeploymentV1SpecTemplateSpecToleration, taints
                        ),
                        security_context=pod_security_context(
                            _DEP.DeploymentV1SpecTemplateSpecSecurityContext, run_as_user
                        ),
                        container=[_container(gateway, endpoint_key)],
                        volume=_volumes(files, gateway.keys_secret),
                    ),
                ),
            ),
            wait_for_rollout=False,
            depends_on=files.config_maps,
        )
        service(
            self,
            "service",
            namespace=namespace,
            name=gateway.service,
            component=_NAME,
            port=gateway.port,
        )


def _container(
    gateway: settings.Gateway, endpoint_key: tuple[str, str]
) -> tf.deployment_v1.DeploymentV1SpecTemplateSpecContainer:
    mount = _DEP.DeploymentV1SpecTemplateSpecContainerVolumeMount
    plain: Mapping[str, str] = {
        **ENVIRONMENT,
        "PYTHONPATH": HOOKS_DIR,
        POLICY_VARIABLE: f"{CONFIG_DIR}/{POLICY_FILE}",
        KEYS_VARIABLE: KEYS_DIR,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": _TMP,
    }
    return _CONTAINER(
        name=_NAME,
        image=gateway.image,
        image_pull_policy="IfNotPresent",
        command=["litellm"],
        args=[
            *("--config", f"{CONFIG_DIR}/{CONFIG_FILE}"),
            *("--host", "0.0.0.0"),  # noqa: S104 - the pod's address is not known before.
            *("--port", str(gateway.port)),
        ],
        env=[
            *(_ENV(name=name, value=value) for name, value in plain.items()),
            _ENV(name=ENDPOINT_KEY_VARIABLE, value_from=_of_secret(*endpoint_key)),
        ],
        port=[
            _DEP.DeploymentV1SpecTemplateSpecContainerPort(
                name="http", container_port=gateway.port, protocol="TCP"
            )
        ],
        resources=_DEP.DeploymentV1SpecTemplateSpecContainerResources(
            requests={
                "cpu": f"{gateway.cpu_request_millicores}m",
                "memory": f"{gateway.memory_request_mib}Mi",
                "ephemeral-storage": "64Mi",
            },
            limits={"memory": f"{gateway.memory_limit_mib}Mi", "ephemeral-storage": "1Gi"},
        ),
        security_context=container_security_context(
            _DEP.DeploymentV1SpecTemplateSpecContainerSecurityContext
        ),
        # These two ask no model; LiteLLM's /health asks each, and so loads it.
        startup_probe=http_probe(
            _DEP.DeploymentV1SpecTemplateSpecContainerStartupProbe,
            "/health/liveliness",
            period_seconds=2,
            failure_threshold=_START_S // 2,
        ),
        readiness_probe=http_probe(
            _DEP.DeploymentV1SpecTemplateSpecContainerReadinessProbe,
            "/health/readiness",
            period_seconds=5,
            timeout_seconds=3,
        ),
        liveness_probe=http_probe(
            _DEP.DeploymentV1SpecTemplateSpecContainerLivenessProbe,
            "/health/liveliness",
            period_seconds=20,
            timeout_seconds=5,
            failure_threshold=6,
        ),
        lifecycle=pause_before_stop(
            _DEP.DeploymentV1SpecTemplateSpecContainerLifecycle, ["sleep", str(_PRE_STOP_S)]
        ),
        volume_mount=[
            # Directories: the kubelet never updates a subPath.
            mount(name="config", mount_path=CONFIG_DIR, read_only=True),
            mount(name="hooks", mount_path=f"{HOOKS_DIR}/{PACKAGE}", read_only=True),
            mount(name="keys", mount_path=KEYS_DIR, read_only=True),
            mount(name="tmp", mount_path=_TMP),
        ],
    )


def _volumes(
    files: GatewayFiles, keys_secret: str
) -> list[tf.deployment_v1.DeploymentV1SpecTemplateSpecVolume]:
    config_map = _DEP.DeploymentV1SpecTemplateSpecVolumeConfigMap
    return [
        _VOLUME(name="config", config_map=config_map(name=files.config_name)),
        _VOLUME(name="hooks", config_map=config_map(name=files.hooks_name)),
        _VOLUME(
            name="keys",
            # Without it the pod starts, and knows no consumer until the Secret is there.
            secret=_DEP.DeploymentV1SpecTemplateSpecVolumeSecret(
                secret_name=keys_secret, optional=True
            ),
        ),
        _VOLUME(
            name="tmp",
            empty_dir=_DEP.DeploymentV1SpecTemplateSpecVolumeEmptyDir(size_limit="512Mi"),
        ),
    ]


def _of_secret(
    name: str, key: str
) -> tf.deployment_v1.DeploymentV1SpecTemplateSpecContainerEnvValueFrom:
    reference = _DEP.DeploymentV1SpecTemplateSpecContainerEnvValueFromSecretKeyRef
    return _DEP.DeploymentV1SpecTemplateSpecContainerEnvValueFrom(
        secret_key_ref=reference(name=name, key=key)
    )
