"""The one stack: the endpoint and everything it needs in the cluster."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.client_access import ClientAccess
from constructs.cuda_cache import CudaCache
from constructs.download_job_spec import DownloadJobSpec
from constructs.egress import Egress, api_server, cluster_dns, host_of, internet, pods_of
from constructs.endpoint import Endpoint
from constructs.endpoint_namespace import EndpointNamespace
from constructs.exporter import Exporter
from constructs.gateway import Gateway
from constructs.gateway_files import GatewayFiles
from constructs.gives_way import GivesWay
from constructs.gpu_window_restore import GpuWindowRestore
from constructs.ignored_changes import ignore_changes
from constructs.model_download import ModelDownload
from constructs.model_store import ModelStore
from constructs.model_upkeep import ModelUpkeep
from constructs.model_warm_up import ModelWarmUp
from constructs.monitoring_files import MonitoringFiles
from in_pod.exporter.contract import PORT
from llama_swap_config.cluster.labels import DOWNLOAD, ENDPOINT, EXPORTER, GATEWAY, RESTORE, UPKEEP
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.sharing import AtOnce, ByWindow
from llama_swap_config.declaration import Declaration
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.gateway import settings as gateway_types
from llama_swap_config.monitoring.alerts import alerts, render_rules
from llama_swap_config.monitoring.dashboard import render_dashboard
from llama_swap_config.plans.download import render_download_plan
from llama_swap_config.plans.exporter import render_exporter_plan
from llama_swap_config.plans.warm import render_warm_plan, warm_memory_mib
from stacks.gateway_files import gateway_files
from stacks.programs import modules
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
        locked = declaration.locked
        residents = declaration.residents(settings.node)
        backend = tf.PgBackend(self, conn_str="", schema_name=settings.state_schema)
        # OpenTofu reads PG_CONN_STR only where the field is not set, and cdktf requires it.
        backend.add_override("conn_str", None)
        tf.provider.KubernetesProvider(self, "kubernetes")
        tf.forget(self, *HAND_WRITTEN)

        namespace = EndpointNamespace(
            self,
            "namespace",
            name=settings.namespace,
            prevent_destroy=settings.prevent_destroy,
        )
        store = ModelStore(
            self,
            "model-store",
            namespace=namespace,
            storage=settings.storage,
            size_gib=settings.storage_size_gib,
            prevent_destroy=settings.prevent_destroy,
        )
        job = DownloadJobSpec(
            image=settings.python_image,
            run_as_user=settings.run_as_user,
            node_selector=settings.download_nodes,
            taints=settings.gpu.taints,
            env=settings.hub_env,
            hf_token_secret=settings.hf_token_secret,
        )
        download = ModelDownload(
            self,
            "model-download",
            namespace=namespace,
            store=store,
            plan=render_download_plan(locked),
            modules=modules("download"),
            spec=job,
        )
        if settings.upkeep is not None:
            ModelUpkeep(
                self,
                "model-upkeep",
                namespace=namespace,
                store=store,
                download=download,
                spec=job,
                upkeep=settings.upkeep,
            )
        warm_up = None
        if settings.warm_wait_s is not None:
            warm_up = ModelWarmUp(
                self,
                "model-warm-up",
                namespace=namespace,
                plan=render_warm_plan(locked),
                modules=modules("warm"),
                image=settings.python_image,
                wait_s=settings.warm_wait_s,
                memory_limit_mib=warm_memory_mib(locked),
            )
        sharing = settings.sharing
        gives_way = None
        if isinstance(sharing, ByWindow):
            gives_way = GivesWay(self, "gives-way", namespace=settings.namespace)
        cuda_cache = None
        if settings.gpu.cuda_cache is not None:
            cuda_cache = CudaCache(
                self, "cuda-cache", namespace=namespace, storage=settings.gpu.cuda_cache
            )
        Endpoint(
            self,
            "llama-swap",
            namespace=namespace,
            name=settings.service,
            port=settings.port,
            program=FRONT_ENDS[settings.front_end].program(
                locked, settings.llama_swap, port=settings.port, residents=residents
            ),
            image=settings.llama_swap_image,
            store=store,
            warm_up=warm_up,
            gpu=settings.gpu,
            slices=sharing.request if isinstance(sharing, AtOnce) else settings.gpu.count,
            gives_way=gives_way,
            cuda_cache=cuda_cache,
            resources=settings.resources,
            run_as_user=settings.run_as_user,
            pre_stop_s=settings.pre_stop_s,
            termination_grace_period_s=settings.termination_grace_period_s,
            api_key_secret=settings.api_key_secret,
        )
        ClientAccess(
            self,
            "client-access",
            namespace=namespace,
            component=ENDPOINT,
            port=settings.port,
            client_namespaces=settings.admitted_namespaces(declaration.consumers),
            client_components=(
                *((GATEWAY,) if isinstance(settings.gateway, gateway_types.Gateway) else ()),
                *(() if settings.monitoring is None else (EXPORTER,)),
            ),
        )
        match settings.gateway:
            case gateway_types.ExistingGateway() as gateway:
                files = gateway_files(settings, gateway, declaration)
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
                self._deploy_gateway(namespace, gateway, settings, declaration)
        if settings.monitoring is not None:
            self._deploy_exporter(namespace, settings.monitoring, settings, declaration)
        # llama-server fetches an `image_url` itself and follows redirects; no flag disables it.
        images = internet(80, 443, internal_ranges=settings.internal_ranges)
        Egress(
            self,
            "image-egress",
            namespace=namespace,
            components=(ENDPOINT,),
            destinations=[images, cluster_dns()] if settings.remote_images else [],
        )
        # A hub's answer may redirect to signed addresses of other hosts; the proxy reaches them.
        hosts = [host_of(url, namespace) for url in settings.hub_hosts]
        hub = internet(443, internal_ranges=settings.internal_ranges)
        Egress(
            self,
            "download-egress",
            namespace=namespace,
            components=(DOWNLOAD, UPKEEP),
            destinations=[
                *hosts,
                *([hub] if settings.https_proxy is None else []),
                cluster_dns(),
            ],
        )
        if isinstance(sharing, ByWindow) and sharing.restore_schedule is not None:
            GpuWindowRestore(
                self,
                "gpu-window-restore",
                namespace=namespace,
                tenants=sharing.tenants,
                schedule=sharing.restore_schedule,
                modules=modules("gpu_window"),
                shared={"kubernetes": modules("kubernetes")},
                image=settings.python_image,
                run_as_user=settings.run_as_user,
                taints=settings.gpu.taints,
            )
            # It asks Immich only with a key.
            immich = [
                host_of(tenant.queues.url, namespace)
                for tenant in sharing.tenants
                if tenant.queues is not None and tenant.queues.api_key_secret is not None
            ]
            Egress(
                self,
                "restore-egress",
                namespace=namespace,
                components=(RESTORE,),
                destinations=[
                    *api_server(settings.api_server),
                    *immich,
                    *([cluster_dns()] if immich else []),
                ],
            )
        ignore_changes(self, settings.set_once, required=settings.ignored_fields)

    def _deploy_exporter(
        self,
        namespace: EndpointNamespace,
        monitoring: Monitoring,
        settings: Settings,
        declaration: Declaration,
    ) -> None:
        front_end = FRONT_ENDS[settings.front_end]
        residents = declaration.residents(settings.node)
        keys = settings.llama_swap.api_key_env
        Exporter(
            self,
            "exporter",
            namespace=namespace,
            monitoring=monitoring,
            endpoint_url=settings.url,
            plan=render_exporter_plan(
                declaration.locked,
                front_end=settings.front_end,
                config=front_end.config(declaration.locked, settings.llama_swap, residents),
                machine=settings.node.machine,
            ),
            modules=modules("exporter"),
            shared={name: modules(name) for name in ("gpu_window", "kubernetes")},
            tenants=settings.tenants,
            endpoint_key=None
            if settings.api_key_secret is None
            else (settings.api_key_secret, keys[0]),
            image=settings.python_image,
            run_as_user=settings.run_as_user,
            taints=settings.gpu.taints,
        )
        MonitoringFiles(
            self,
            "monitoring-files",
            namespace=namespace,
            rules=render_rules(alerts(declaration.locked, settings.node.machine)),
            dashboard=render_dashboard(),
        )
        has_gateway = isinstance(settings.gateway, gateway_types.Gateway)
        ClientAccess(
            self,
            "exporter-access",
            namespace=namespace,
            component=EXPORTER,
            port=PORT,
            # The gateway asks it why the endpoint does not answer; consumers never ask it.
            client_namespaces=settings.admitted_namespaces(()),
            client_components=(GATEWAY,) if has_gateway else (),
        )
        Egress(
            self,
            "exporter-egress",
            namespace=namespace,
            components=(EXPORTER,),
            destinations=[
                pods_of(ENDPOINT, settings.port),
                *api_server(settings.api_server),
                cluster_dns(),
            ],
        )

    def _deploy_gateway(
        self,
        namespace: EndpointNamespace,
        gateway: gateway_types.Gateway,
        settings: Settings,
        declaration: Declaration,
    ) -> None:
        files = gateway_files(settings, gateway, declaration)
        assert settings.api_key_secret is not None  # noqa: S101 - the settings require it.
        Gateway(
            self,
            "gateway",
            namespace=namespace,
            gateway=gateway,
            files=GatewayFiles(
                self,
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
            self,
            "gateway-access",
            namespace=namespace,
            component=GATEWAY,
            port=gateway.port,
            client_namespaces=(
                *(consumer.namespace for consumer in consumers),
                *settings.monitoring_namespaces,
            ),
        )
        images = internet(80, 443, internal_ranges=settings.internal_ranges)
        Egress(
            self,
            "gateway-egress",
            namespace=namespace,
            components=(GATEWAY,),
            destinations=[
                pods_of(ENDPOINT, settings.port),
                *([] if settings.monitoring is None else [pods_of(EXPORTER, PORT)]),
                *([images] if any(consumer.remote_images for consumer in consumers) else []),
                cluster_dns(),
            ],
        )
