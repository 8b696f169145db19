"""The one stack: the endpoint and everything it needs in the cluster."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.client_access import ClientAccess
from constructs.egress import Egress, cluster_dns, internet, pods_of
from constructs.endpoint_namespace import EndpointNamespace
from constructs.gateway import Gateway
from constructs.gateway_files import GatewayFiles
from constructs.ignored_changes import ignore_changes
from constructs.monitoring_files import MonitoringFiles
from in_pod.exporter.contract import PORT
from llama_swap_config.cluster.labels import ENDPOINT, EXPORTER, GATEWAY
from llama_swap_config.declaration import Declaration
from llama_swap_config.gateway import settings as gateway_types
from llama_swap_config.monitoring.alerts import render_rules
from stacks.endpoint import deploy_endpoint
from stacks.gateway_files import gateway_files
from stacks.monitoring import alerts_of, dashboard_of
from stacks.pools import DeclaredPool, pools_of
from stacks.settings import Settings

HAND_WRITTEN = (
    "kubernetes_config_map.llama_swap_config",
    "kubernetes_deployment.llama_swap",
    "kubernetes_job_v1.download_models",
    "kubernetes_namespace.llama_cpp",
    "kubernetes_service.llama_swap",
    "module.nfs_models",
)
"""Addresses of the earlier HCL, whose state is in the same schema."""


class LlamaCppStack(tf.TerraformStack):
    """Several vision models behind one OpenAI-compatible endpoint on one GPU."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        settings: Settings,
        declaration: Declaration,
    ) -> None:
        """Declare the stack.

        Args:
            scope: The app.
            id: The stack's id.
            settings: The cluster's settings.
            declaration: The models and their consumers.

        Raises:
            ConfigError: when a model does not run on the card, the engine or the node of the
                settings.
        """
        super().__init__(scope, id)
        pools = pools_of(settings, declaration)
        backend = tf.PgBackend(self, conn_str="", schema_name=settings.state_schema)
        # OpenTofu reads PG_CONN_STR only where the field is not set, and cdktf requires it.
        backend.add_override("conn_str", None)
        tf.provider.KubernetesProvider(self, "kubernetes")
        tf.forget(self, *HAND_WRITTEN)
        first, *further = pools
        # Terraform's addresses of the first pool are those that it had when it was the only one.
        namespace = deploy_endpoint(self, first)
        match settings.gateway:
            case gateway_types.ExistingGateway() as gateway:
                files = gateway_files(pools, gateway, declaration)
                GatewayFiles(
                    self,
                    "gateway-files",
                    namespace=gateway.namespace,
                    # Another endpoint may have its own there.
                    name=f"{settings.namespace}-{GATEWAY}",
                    config=files.config,
                    hooks=files.hooks,
                )
            case gateway_types.Gateway() as gateway:
                _deploy_gateway(self, namespace, gateway, pools, declaration)
        if settings.monitoring is not None:
            MonitoringFiles(
                self,
                "monitoring-files",
                namespace=namespace,
                rules=render_rules(alerts_of(pools)),
                dashboard=dashboard_of(pools),
            )
        ignore_changes(
            self.node.find_all(), first.settings.set_once, required=settings.ignored_fields
        )
        # Below a construct of their own a pool may have the name of any of the above.
        pools_scope = tf.Construct(self, "pools")
        for pool in further:
            scope_of_pool = tf.Construct(pools_scope, pool.name)
            deploy_endpoint(scope_of_pool, pool)
            ignore_changes(scope_of_pool.node.find_all(), pool.settings.set_once, required=())


def _deploy_gateway(
    stack: tf.TerraformStack,
    namespace: EndpointNamespace,
    gateway: gateway_types.Gateway,
    pools: tuple[DeclaredPool, ...],
    declaration: Declaration,
) -> None:
    files = gateway_files(pools, gateway, declaration)
    settings = pools[0].settings
    assert settings.api_key_secret is not None  # noqa: S101 - the settings require it.
    Gateway(
        stack,
        "gateway",
        namespace=namespace,
        gateway=gateway,
        files=GatewayFiles(
            stack,
            "gateway-files",
            namespace=namespace.name,
            name=GATEWAY,
            config=files.config,
            hooks=files.hooks,
            depends_on=[namespace.resource],
        ),
        endpoint_key=(settings.api_key_secret, settings.llama_swap.api_key_env[0]),
        timeout_s=files.timeout_s,
        run_as_user=settings.run_as_user,
        taints=settings.gpu.taints,
    )
    consumers = declaration.consumers
    ClientAccess(
        stack,
        "gateway-access",
        namespace=namespace,
        component=GATEWAY,
        port=gateway.port,
        client_namespaces=(
            *(consumer.namespace for consumer in consumers),
            *settings.monitoring_namespaces,
        ),
    )
    # Its own namespace needs no name.
    namespaces = (None, *(pool.settings.namespace for pool in pools[1:]))
    images = internet(80, 443, internal_ranges=settings.internal_ranges)
    Egress(
        stack,
        "gateway-egress",
        namespace=namespace,
        components=(GATEWAY,),
        destinations=[
            *(pods_of(ENDPOINT, settings.port, namespace=it) for it in namespaces),
            *(
                pods_of(EXPORTER, PORT, namespace=it)
                for it in (() if settings.monitoring is None else namespaces)
            ),
            *([images] if any(consumer.remote_images for consumer in consumers) else []),
            cluster_dns(),
        ],
    )
