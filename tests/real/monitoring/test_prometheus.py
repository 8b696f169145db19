"""A real Prometheus scrapes the exporter, which has its account's rights alone in a real cluster.

Every query of the dashboard and of the alerts is answered with data.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from in_pod.exporter.contract import METRICS
from llama_swap_config.cluster.labels import EXPORTER
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from llama_swap_config.monitoring.alerts import alerts, render_rules
from llama_swap_config.monitoring.dashboard import ROWS, Panel
from ops.embedded.cluster import EmbeddedCluster
from ops.endpoint.api_key import KEY_VARIABLE
from ops.machine.prometheus import prometheus
from ops.report.terminal import say
from ops.terraform.manifests import manifests
from tests.declaration.settings import SETTINGS
from tests.in_pod.exporter.running import exporter, write_plan
from tests.real.exporter.watched import Client, plan_of
from tests.real.monitoring.scraping import INTERVAL_S, Prometheus, scraping
from tests.real.serve.served import served
from tests.real.window.shared_card import Card
from tests.real.window.window_process import NAMESPACE

MODELS = tuple(
    Model(id=name, repository="tiny/random", quantisation="F32") for name in ("eyes", "other")
)
PANELS = [panel for row in ROWS for panel in row.panels]


@pytest.fixture(scope="module")
def service_account(
    shared_card: Card, cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the kubelet mounts for the exporter's account."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{EXPORTER}/token"
    status, answer = shared_card.api.request("POST", path, {"spec": {"expirationSeconds": 3600}})
    assert status == 201, answer
    folder = tmp_path_factory.mktemp("serviceaccount")
    (folder / "token").write_text(answer["status"]["token"])
    (folder / "ca.crt").write_bytes((cluster.state_dir / "certs/apiserver.crt").read_bytes())
    return folder


@pytest.fixture(scope="module")
def found(
    llama_server: Path,
    cluster: EmbeddedCluster,
    service_account: Path,
    locked: tuple[LockedModel, ...],
    synth: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus, after each model was loaded and asked while it looked."""
    folder = tmp_path_factory.mktemp("monitoring")
    smi = folder / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(
        "#!/bin/sh\n"
        'while :; do echo "0, Tesla T4, GPU-played, 40, 0, 900, 15360, 0, 20"; sleep 1; done\n'
    )
    smi.chmod(0o755)
    (deployment,) = (
        each
        for each in manifests(synth())
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", EXPORTER)
    )
    declared = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    server = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    host, api_port = server.removeprefix("https://").split(":")
    in_pod = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": api_port}
    tenants = [
        word
        for flag, value in itertools.pairwise(declared)
        if flag == "--tenant"
        for word in (flag, value)
    ]
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv(KEY_VARIABLE, raising=False)
        patch.setenv("PATH", f"{smi.parent}{os.pathsep}{os.environ['PATH']}")
        front_end = stack.enter_context(served(MODELS, folder / "served", "llama-swap"))
        watching = stack.enter_context(
            exporter(
                write_plan(folder / "plan.json", plan_of(front_end, MODELS)),
                front_end.url,
                *("--namespace", NAMESPACE, *tenants),
                *("--service-account-dir", str(service_account)),
                environment=in_pod,
            )
        )
        rules = render_rules(alerts(locked, SETTINGS.node.machine))
        asked = stack.enter_context(scraping({NAMESPACE: watching.url}, rules, folder))
        asked.until(lambda: asked.values("llama_swap_cluster_up") == [1])
        client = Client(url=front_end.url)
        for model in (*MODELS, *MODELS):
            assert client.ask(model.id)[0] == 200
            assert client.ask(model.id)[0] == 200
            time.sleep(2 * INTERVAL_S)
        asked.until(lambda: bool(asked.values("llama_swap_vram_others_bytes")))
        yield asked


@pytest.mark.parametrize("panel", PANELS, ids=[panel.title for panel in PANELS])
def test_every_panel_shows_data(found: Prometheus, panel: Panel) -> None:
    for query in panel.queries:
        assert found.values(query.expr), query.expr


def test_the_rules_are_healthy_and_nothing_fires(found: Prometheus) -> None:
    (group,) = found.get("/api/v1/rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == []


def test_prometheus_takes_every_metric_as_it_is_meant(found: Prometheus) -> None:
    meant = {name: (metric.kind, metric.help) for name, metric in METRICS.items()}
    seen = {
        name: (entry["type"], entry["help"])
        for name, (entry, *_) in found.get("/api/v1/metadata").items()
    }
    assert seen == {name: fact for name, fact in meant.items() if name in seen}
    absent = meant.keys() - seen.keys()
    # No window is open, and no volume was verified.
    assert absent <= {
        "llama_swap_window_deadline_timestamp_seconds",
        "llama_swap_verification_success_timestamp_seconds",
    }


def test_promtool_accepts_the_text(found: Prometheus) -> None:
    target = found.get("/api/v1/targets")["activeTargets"][0]["scrapeUrl"]
    text = httpx2.get(target, timeout=30, trust_env=False).text
    checked = subprocess.run(
        [prometheus(say) / "promtool", "check", "metrics"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_exporter_sees_what_the_cluster_has(found: Prometheus) -> None:
    assert found.values("llama_swap_tenant_ready_replicas") == [1]
