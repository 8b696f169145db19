"""Deploy the stack into the embedded cluster, and serve tiny models on this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from llama_swap_config.cluster.labels import APP
from llama_swap_config.declaration import load
from llama_swap_config.fit.residency import ONE_RESIDENT
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.monitoring.alerts import render_rules
from llama_swap_config.plans.exporter import render_exporter_plan
from ops.cluster import environment
from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.rollout import Outcome
from ops.cluster.server_side_apply import Cluster
from ops.commands.deploy.policy import Ordinary
from ops.commands.deploy.run import apply_as_shown, follow, verify
from ops.commands.serve import local_store
from ops.commands.serve import run as serve
from ops.commands.serve.ask import Answer, ask_each
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.commands.up import gateway as gateways
from ops.commands.up.gateway import ServedGateway
from ops.embedded import cluster as embedded
from ops.embedded import control_plane
from ops.embedded.admin_api import AdminApi
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError, RefusedError
from ops.machine import gateway as gateway_process
from ops.machine import monitoring as monitors
from ops.machine.builds import build_all
from ops.machine.litellm import litellm
from ops.machine.llama_server import llama_server
from ops.machine.monitoring import Monitoring
from ops.machine.prometheus import prometheus
from ops.options import embedded_command
from ops.report.terminal import Say
from ops.terraform.manifests import Manifest, manifests
from ops.terraform.run import ProviderUnavailableError, Terraform
from ops.terraform.state_owner import OtherToolError
from ops.terraform.synth import synthesize, unguarded
from stacks.monitoring import alerts_of
from stacks.pools import DeclaredPool, pools_of
from stacks.settings import Settings

SERVE_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The results of `up`."""

    pools: tuple[DeclaredPool, ...]
    """The pools of the stack, the first one first."""
    cluster: EmbeddedCluster
    way: str
    """How the stack was deployed: `OpenTofu`, or `server-side apply` and why."""
    objects: tuple[Manifest, ...]
    outcome: Outcome
    """What the objects wait for, and what has failed."""
    store: LocalStore
    """The volume with tiny models, filled on this machine by the download and warm-up programs."""
    served: Served
    """The front end that serves the first pool's models from that volume on this machine."""
    answers: tuple[Answer, ...]
    """Each model's answer about a picture."""
    gateway: ServedGateway | None
    """The gateway before that front end, if one was asked for."""
    monitoring: Monitoring | None
    """The exporter and the Prometheus beside it, if they were asked for."""


def up(
    state_dir: Path,
    *,
    settings: Settings,
    with_gateway: bool = False,
    with_monitoring: bool = False,
    say: Say,
) -> Deployed:
    """Start the embedded cluster, deploy the stack, serve the models and ask each a question.

    Args:
        state_dir: The cluster's directory.
        settings: The settings that the stack is synthesized from.
        with_gateway: Whether to start the gateway too (default: no; a running one is stopped).
        with_monitoring: Whether to start exporter and Prometheus too (default: no; likewise).
        say: Receives a line for the operator.

    Raises:
        OpsError: when a part does not start, an object is refused, or a model does not answer.
    """
    # A mistake in the registry is found before anything is built.
    pools = pools_of(settings, load())
    first = pools[0]
    consumers = first.declaration.consumers
    programs = [environment.check_terraform, control_plane.binaries, llama_server]
    if with_gateway:
        gateways.check_consumers(consumers)
        programs.append(litellm)
    if with_monitoring:
        programs.append(prometheus)
    build_all(programs, say=say)
    program = environment.check_terraform(say)
    with ThreadPoolExecutor(max_workers=1) as beside:
        # Not where a deploy to production would take it from: it has no prevent_destroy.
        synthesis = beside.submit(synthesize, outdir=state_dir.resolve() / "cdktf.out")
        cluster = embedded.up(state_dir, settings=settings, say=say)
        synthesized = unguarded(synthesis.result())
    objects = manifests(synthesized.document)
    os.environ |= cluster.environment()
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with Cluster(target) as kube:
        terraform = Terraform(synthesized.directory, program=program)
        way = _deploy(cluster, terraform, kube, target, objects, say)
    with KubeApi(target) as api:
        outcome = follow(api, objects, settings, wait_s=SERVE_TIMEOUT_S, say=say)
    say("the cluster runs no containers: download, warm-up and front end run on this machine")
    store = local_store.fill_with_tiny_models(cluster.state_dir, say=say)
    front_end = serve.choose(None, say)
    residents = serve.production_residents(first, front_end, say=say)
    of_first = store.of_pool(first)
    served = serve.start(
        of_first,
        cluster.state_dir,
        front_end=front_end,
        port=cluster.endpoint_port,
        say=say,
        residents=residents,
        api_key_env=settings.llama_swap.api_key_env,
    )
    say(f"{served.front_end} is ready at {served.url}; sending each model a picture")
    answers = tuple(ask_each(served))
    gateway = None
    if with_gateway:
        gateway = gateways.start(
            served,
            of_first,
            cluster.state_dir,
            consumers=consumers,
            settings=settings,
            residents=residents,
            say=say,
        )
    elif gateway_process.stop(cluster.state_dir):
        again = embedded_command("up --gateway", cluster.state_dir)
        say(f"stopped the gateway; `{again}` starts it")
    monitoring = None
    if with_monitoring:
        monitoring = _start_monitoring(cluster, served, of_first, first, gateway, say)
    elif monitors.stop(cluster.state_dir):
        say("stopped the exporter and Prometheus")
    return Deployed(
        pools=pools,
        cluster=cluster,
        way=way,
        objects=objects,
        outcome=outcome,
        store=store,
        served=served,
        answers=answers,
        gateway=gateway,
        monitoring=monitoring,
    )


def _start_monitoring(
    cluster: EmbeddedCluster,
    served: Served,
    store: LocalStore,
    pool: DeclaredPool,
    gateway: ServedGateway | None,
    say: Say,
) -> Monitoring:
    settings = pool.settings
    say("starting the exporter and Prometheus")
    front_end = FRONT_ENDS[served.front_end]
    return monitors.start(
        cluster.state_dir,
        port=cluster.exporter_port,
        url=served.url,
        key=served.key.read() if served.key else "",
        plan=render_exporter_plan(
            store.models,
            front_end=served.front_end,
            config=front_end.config(store.models, settings.llama_swap, ONE_RESIDENT),
            machine=None,
        ),
        rules=render_rules(alerts_of((pool,))),
        gateway_url=None if gateway is None else gateway.url,
        say=say,
    )


def _deploy(
    cluster: EmbeddedCluster,
    terraform: Terraform,
    kube: Cluster,
    target: KubeTarget,
    objects: tuple[Manifest, ...],
    say: Say,
) -> str:
    """Deploy with Terraform if it gets the provider; return how the stack was deployed."""
    start_over = f"To start over: `{embedded_command('down --delete-data', cluster.state_dir)}`"
    try:
        terraform.init_for_apply(say=say)
    except ProviderUnavailableError as unavailable:
        say("deploying with server-side apply")
        try:
            _refuse_another_namespace(cluster, objects)
            kube.apply(objects)
        except OpsError as error:
            raise OpsError(f"{error}. {start_over}") from error
        return f"server-side apply, because {unavailable}"
    except OtherToolError as error:
        raise OpsError(f"{error}. {start_over}") from error
    product = terraform.program.product
    say(f"deploying with {product}, state in PostgreSQL")
    try:
        apply_as_shown(
            terraform,
            target=target,
            show=lambda *_: None,
            approve=lambda: True,
            policy=Ordinary(named_only=()),
            quiet=True,
            say=say,
        )
    except RefusedError as error:
        raise RefusedError(f"{error}. {start_over}") from error
    verify(terraform)
    return f"{product}, state in PostgreSQL; a new plan finds no changes"


def _refuse_another_namespace(cluster: EmbeddedCluster, objects: tuple[Manifest, ...]) -> None:
    """Refuse to deploy beside an endpoint in another namespace, which would keep GPU and volume.

    Raises:
        OpsError: naming that namespace.
    """
    names = {made["metadata"]["name"] for made in objects if made["kind"] == "Namespace"}
    stacks = f"/api/v1/namespaces?labelSelector=app.kubernetes.io/part-of={APP}"
    for found in AdminApi.of(cluster.kubeconfig).items(stacks):
        if found["metadata"]["name"] not in names:
            raise OpsError(
                f"namespace {found['metadata']['name']} has the endpoint of an earlier `up`, "
                "which only Terraform can remove"
            )
