"""An endpoint in the stack: a pool with everything that it needs in its namespace."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.client_access import Client, ClientAccess
from constructs.cuda_cache import CudaCache
from constructs.download_job_spec import DownloadJobSpec
from constructs.egress import Egress, api_server, cluster_dns, host_of, internet, pods_of
from constructs.endpoint import Endpoint
from constructs.endpoint_namespace import EndpointNamespace
from constructs.exporter import Exporter
from constructs.gives_way import GivesWay
from constructs.gpu_window_restore import GpuWindowRestore
from constructs.model_download import ModelDownload
from constructs.model_store import ModelStore
from constructs.model_upkeep import ModelUpkeep
from constructs.model_warm_up import ModelWarmUp
from in_pod.exporter.contract import PORT
from llama_swap_config.cluster.labels import DOWNLOAD, ENDPOINT, EXPORTER, GATEWAY, RESTORE, UPKEEP
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.sharing import AtOnce, ByWindow
from llama_swap_config.fit.residency import Residents
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.gateway.settings import Gateway
from llama_swap_config.plans.download import render_download_plan
from llama_swap_config.plans.exporter import render_exporter_plan
from llama_swap_config.plans.warm import render_warm_plan, warm_memory_mib
from stacks.pools import DeclaredPool
from stacks.programs import modules


def deploy_endpoint(scope: tf.Construct, pool: DeclaredPool) -> EndpointNamespace:
    """Declare an endpoint with everything that it needs in its namespace.

    Args:
        scope: The stack, or the pool's own construct.
        pool: The pool.

    Returns:
        Its namespace.

    Raises:
        ConfigError: when a model does not run on the pool's cards, engine or node.
    """
    settings, declaration = pool.settings, pool.declaration
    locked, residents = declaration.locked, pool.residents
    namespace = EndpointNamespace(
        scope,
        "namespace",
        name=settings.namespace,
        prevent_destroy=settings.prevent_destroy,
    )
    store = ModelStore(
        scope,
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
    if pool.downloads:
        download = ModelDownload(
            scope,
            "model-download",
            namespace=namespace,
            store=store,
            plan=render_download_plan(pool.downloads),
            modules=modules("download"),
            spec=job,
        )
        if settings.upkeep is not None:
            ModelUpkeep(
                scope,
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
            scope,
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
        gives_way = GivesWay(scope, "gives-way", namespace=settings.namespace)
    cuda_cache = None
    if settings.gpu.cuda_cache is not None:
        cuda_cache = CudaCache(
            scope, "cuda-cache", namespace=namespace, storage=settings.gpu.cuda_cache
        )
    Endpoint(
        scope,
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
        scope,
        "client-access",
        namespace=namespace,
        component=ENDPOINT,
        port=settings.port,
        client_namespaces=settings.admitted_namespaces(declaration.consumers),
        clients=(
            *_gateway(pool),
            *(() if settings.monitoring is None else (Client(component=EXPORTER),)),
        ),
    )
    if settings.monitoring is not None:
        _deploy_exporter(scope, namespace, settings.monitoring, pool, residents)
    # llama-server fetches an `image_url` itself and follows redirects; no flag disables it.
    images = internet(80, 443, internal_ranges=settings.internal_ranges)
    Egress(
        scope,
        "image-egress",
        namespace=namespace,
        components=(ENDPOINT,),
        destinations=[images, cluster_dns()] if settings.remote_images else [],
    )
    # A hub's answer may redirect to signed addresses of other hosts; the proxy reaches them.
    hosts = [host_of(url, namespace) for url in settings.hub_hosts]
    hub = internet(443, internal_ranges=settings.internal_ranges)
    Egress(
        scope,
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
            scope,
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
            scope,
            "restore-egress",
            namespace=namespace,
            components=(RESTORE,),
            destinations=[
                *api_server(settings.api_server),
                *immich,
                *([cluster_dns()] if immich else []),
            ],
        )
    return namespace


def _gateway(pool: DeclaredPool) -> tuple[Client, ...]:
    """Return the pods of the gateway that the stack deploys."""
    if not isinstance(pool.settings.gateway, Gateway):
        return ()
    return (Client(component=GATEWAY, namespace=pool.gateway_namespace),)


def _deploy_exporter(
    scope: tf.Construct,
    namespace: EndpointNamespace,
    monitoring: Monitoring,
    pool: DeclaredPool,
    residents: Residents,
) -> None:
    settings, locked = pool.settings, pool.declaration.locked
    front_end = FRONT_ENDS[settings.front_end]
    keys = settings.llama_swap.api_key_env
    Exporter(
        scope,
        "exporter",
        namespace=namespace,
        monitoring=monitoring,
        endpoint_url=settings.url,
        plan=render_exporter_plan(
            locked,
            front_end=settings.front_end,
            config=front_end.config(locked, settings.llama_swap, residents),
            machine=settings.node.machine,
            cards=settings.gpu.count,
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
    ClientAccess(
        scope,
        "exporter-access",
        namespace=namespace,
        component=EXPORTER,
        port=PORT,
        # The gateway asks it why the endpoint does not answer; consumers never ask it.
        client_namespaces=settings.admitted_namespaces(()),
        clients=_gateway(pool),
    )
    Egress(
        scope,
        "exporter-egress",
        namespace=namespace,
        components=(EXPORTER,),
        destinations=[
            pods_of(ENDPOINT, settings.port),
            *api_server(settings.api_server),
            cluster_dns(),
        ],
    )
