"""The exporter, which watches the endpoint: its Deployment, its Service, and its rights."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.account import Account
from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import (
    container_security_context,
    http_probe,
    pod_security_context,
    tolerations,
)
from constructs.pod_program import PodProgram
from constructs.service import service
from in_pod.exporter.contract import HEALTH_PATH, METRICS_PATH, PLAN_FILE, PORT
from in_pod.gpu_window.contract import LEASE
from llama_swap_config.cluster.gpu_tenants import GpuTenant, names_by_kind
from llama_swap_config.cluster.labels import (
    CONFIG_ANNOTATION,
    EXPORTER,
    UPKEEP,
    labels,
    selector,
)
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.pod_resources import Taint

_DEP = tf.deployment_v1
_ROLE = tf.role_v1
_TEMPLATE = _DEP.DeploymentV1SpecTemplateSpec
_VOLUME = _DEP.DeploymentV1SpecTemplateSpecVolume

_NAME = EXPORTER
_DIRECTORY = "/exporter"
_KEY_DIR, _KEY_FILE = "/api-key", "api-key"


class Exporter(tf.Construct):
    """One pod beside the endpoint, which it outlives: a pod that waits for the card is a state.

    Its account reads the namespace's pods and Jobs, one Lease and the tenants; it changes nothing.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        monitoring: Monitoring,
        endpoint_url: str,
        plan: str,
        modules: Mapping[str, str],
        shared: Mapping[str, Mapping[str, str]],
        tenants: tuple[GpuTenant, ...],
        endpoint_key: tuple[str, str] | None,
        image: str,
        run_as_user: int,
        taints: tuple[Taint, ...],
    ) -> None:
        """Declare ConfigMap, account, Deployment and Service.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The endpoint's namespace.
            monitoring: The settings.
            endpoint_url: The endpoint's address.
            plan: The exporter's plan, JSON.
            modules: The modules of the program, by file name.
            shared: The packages that it imports: name -> modules.
            tenants: The tenants whose state it tells.
            endpoint_key: Secret and key of the endpoint's API key; None: it requires none.
            image: An image with Python 3.11 or later, by digest.
            run_as_user: User and group of the pod.
            taints: The GPU node's taints, which the pod tolerates: it may be the only node.
        """
        super().__init__(scope, id)
        program = PodProgram(
            package="exporter",
            modules=modules,
            shared=shared,
            directory=_DIRECTORY,
            files={PLAN_FILE: plan},
        )
        config_map = program.config_map(
            self, "program", namespace=namespace, name=_NAME, component=_NAME
        )
        account = Account(
            self,
            "account",
            name=_NAME,
            namespace=namespace,
            rules=_rules(),
            in_tenants={
                tenant_namespace: [
                    _rule("apps", f"{kind.lower()}s", "get", names=names)
                    for kind, names in kinds.items()
                ]
                for tenant_namespace, kinds in names_by_kind(tenants).items()
            },
        )
        annotations = {CONFIG_ANNOTATION: program.sha256}
        if monitoring.scrape_annotations:
            annotations |= {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(PORT),
                "prometheus.io/path": METRICS_PATH,
            }
        _DEP.DeploymentV1(
            self,
            "Resource",
            metadata=_DEP.DeploymentV1Metadata(
                name=_NAME, namespace=namespace.name, labels=labels(_NAME)
            ),
            spec=_DEP.DeploymentV1Spec(
                replicas="1",
                revision_history_limit=3,
                # Two would count everything twice for a moment.
                strategy=_DEP.DeploymentV1SpecStrategy(type="Recreate"),
                selector=_DEP.DeploymentV1SpecSelector(match_labels=selector(_NAME)),
                template=_DEP.DeploymentV1SpecTemplate(
                    metadata=_DEP.DeploymentV1SpecTemplateMetadata(
                        labels=selector(_NAME), annotations=annotations
                    ),
                    spec=_TEMPLATE(
                        service_account_name=account.name,
                        automount_service_account_token=True,
                        enable_service_links=False,
                        termination_grace_period_seconds=10,
                        toleration=tolerations(
                            _DEP.DeploymentV1SpecTemplateSpecToleration, taints
                        ),
                        security_context=pod_security_context(
                            _DEP.DeploymentV1SpecTemplateSpecSecurityContext, run_as_user
                        ),
                        container=[
                            _container(
                                program,
                                image=image,
                                args=[
                                    *("--url", endpoint_url),
                                    *("--plan", f"{_DIRECTORY}/{PLAN_FILE}"),
                                    *("--namespace", namespace.name),
                                    *_tenants(tenants),
                                ],
                                has_key=endpoint_key is not None,
                            )
                        ],
                        volume=[
                            program.volume(_VOLUME, "program", _NAME),
                            *([] if endpoint_key is None else [_key(*endpoint_key)]),
                        ],
                    ),
                ),
            ),
            wait_for_rollout=False,
            depends_on=[config_map, *(grant.binding for grant in account.grants)],
        )
        service(
            self,
            "service",
            namespace=namespace,
            name=_NAME,
            component=_NAME,
            port=PORT,
        )


def _container(
    program: PodProgram, *, image: str, args: list[str], has_key: bool
) -> tf.deployment_v1.DeploymentV1SpecTemplateSpecContainer:
    mount = _DEP.DeploymentV1SpecTemplateSpecContainerVolumeMount
    env = _DEP.DeploymentV1SpecTemplateSpecContainerEnv
    return _DEP.DeploymentV1SpecTemplateSpecContainer(
        name="exporter",
        image=image,
        image_pull_policy="IfNotPresent",
        command=program.command,
        working_dir=program.directory,
        args=[*args, *(("--api-key-file", f"{_KEY_DIR}/{_KEY_FILE}") if has_key else ())],
        env=[
            env(name=name, value="1") for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
        ],
        port=[
            _DEP.DeploymentV1SpecTemplateSpecContainerPort(
                name="http", container_port=PORT, protocol="TCP"
            )
        ],
        resources=_DEP.DeploymentV1SpecTemplateSpecContainerResources(
            requests={"cpu": "20m", "memory": "48Mi", "ephemeral-storage": "16Mi"},
            limits={"memory": "64Mi", "ephemeral-storage": "64Mi"},
        ),
        security_context=container_security_context(
            _DEP.DeploymentV1SpecTemplateSpecContainerSecurityContext
        ),
        readiness_probe=http_probe(
            _DEP.DeploymentV1SpecTemplateSpecContainerReadinessProbe,
            HEALTH_PATH,
            period_seconds=5,
            timeout_seconds=3,
        ),
        liveness_probe=http_probe(
            _DEP.DeploymentV1SpecTemplateSpecContainerLivenessProbe,
            HEALTH_PATH,
            period_seconds=20,
            timeout_seconds=5,
            failure_threshold=6,
        ),
        volume_mount=[
            mount(name="program", mount_path=program.directory, read_only=True),
            *([mount(name="key", mount_path=_KEY_DIR, read_only=True)] if has_key else []),
        ],
    )


def _key(secret: str, key: str) -> tf.deployment_v1.DeploymentV1SpecTemplateSpecVolume:
    source = _DEP.DeploymentV1SpecTemplateSpecVolumeSecret
    item = _DEP.DeploymentV1SpecTemplateSpecVolumeSecretItems
    # A file, not a variable: the kubelet renews it when the key changes.
    return _VOLUME(
        name="key", secret=source(secret_name=secret, items=[item(key=key, path=_KEY_FILE)])
    )


def _tenants(tenants: tuple[GpuTenant, ...]) -> list[str]:
    return [
        word
        for tenant in tenants
        for word in ("--tenant", f"{tenant.kind}/{tenant.namespace}/{tenant.name}")
    ]


def _rules() -> list[tf.role_v1.RoleV1Rule]:
    """Make the rules for its own namespace."""
    return [
        _rule("coordination.k8s.io", "leases", "get", names=[LEASE]),
        _rule("batch", "cronjobs", "get", names=[UPKEEP]),
        # A rule for `list` cannot be limited to names.
        _rule("batch", "jobs", "list"),
        _rule("", "pods", "list"),
    ]


def _rule(
    group: str, resource: str, verb: str, *, names: list[str] | None = None
) -> tf.role_v1.RoleV1Rule:
    return _ROLE.RoleV1Rule(
        api_groups=[group], resources=[resource], resource_names=names, verbs=[verb]
    )
