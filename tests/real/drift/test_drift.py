"""Drift on a real control plane, a real front end and a real volume: none, then one at a time."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
import yaml

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.model import Model
from ops.cli import main
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.workloads import Cluster
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.run import Ask, Drift, drift
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore, fill_with_tiny_models
from ops.commands.serve.run import Served
from ops.embedded.cluster import EmbeddedCluster
from ops.endpoint.client import Endpoint
from ops.endpoint.residents import find as find_residents
from stacks.settings import Settings
from tests.declaration.frozen import DECLARATION
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.ops.commands.smoke.smoke_runs import KEYED
from tests.real.serve.served import served, skip_without

Synth = Callable[..., dict[str, Any]]

NAMESPACE = "llama-cpp"
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/llama-swap"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llama-swap"
SERVICE = f"/api/v1/namespaces/{NAMESPACE}/services/llama-swap"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
KEY = "llama-swap.yaml"
WRITER = "?fieldManager=kubectl-edit"
COMMIT = r"\((commit [0-9a-f]+, \d{4}-\d\d-\d\d \d\d:\d\dZ|not committed)\)"
EDITED = r"\(kubectl-edit, \d{4}-\d\d-\d\d \d\d:\d\dZ\)"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All that drift is asked of."""

    declared: Declared
    api: KubeApi
    kube: Cluster
    store: LocalStore
    url: str

    def drift(self, **changes: Any) -> Drift:
        ask = replace(Ask(url=self.url, volume=self.store.volume), **changes)
        return drift(self.declared, ask, say=lambda line: None)

    def lines(self, **changes: Any) -> list[str]:
        found = self.drift(**changes)
        assert found.unreachable == ()
        return [each.line for each in found.differences]

    def patch(self, path: str, body: Document) -> None:
        status, document = self.api.request("PATCH", f"{path}{WRITER}", body)
        assert status == 200, document

    def restore(self) -> None:
        """Bring back the declared objects, and wait until they run."""
        self.kube.apply(self.declared.objects)
        workloads = self.kube.wait_until_settled(NAMESPACE, timeout_s=30, say=print)
        assert [each for each in workloads if not each.settled] == []
        deadline = time.monotonic() + 20
        while len(self.pods()) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def pods(self) -> list[Document]:
        """The serving pods that are not about to go."""
        chosen = "labelSelector=app.kubernetes.io/name=llama-swap"
        found = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{chosen}") or {}
        return [each for each in found["items"] if not each["metadata"].get("deletionTimestamp")]


@pytest.fixture(scope="module", autouse=True)
def environment(cluster: EmbeddedCluster) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LLAMA_API_KEY", "PG_CONN_STR", "PGHOST"):
            patch.delenv(name, raising=False)
        patch.setenv("KUBE_CONFIG_PATH", str(cluster.kubeconfig))
        patch.setenv("KUBE_CTX", cluster.kube_context)
        yield


@pytest.fixture(scope="module")
def system(
    cluster: EmbeddedCluster,
    kube: Cluster,
    production: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    skip_without("llama-swap")
    folder = tmp_path_factory.mktemp("system")
    store = fill_with_tiny_models(folder, say=print)
    declared = declared_of(
        SETTINGS,
        DECLARATION,
        production,
        directory=folder / "cdktf.out",
        lock_path=store.lock_path,
    )
    running = serve.start(store, folder, front_end="llama-swap", port=None, say=print)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    try:
        with KubeApi(target) as api:
            whole = System(declared=declared, api=api, kube=kube, store=store, url=running.url)
            whole.restore()
            yield whole
    finally:
        serve.stop(folder)


@pytest.fixture
def config(system: System) -> Iterator[dict[str, Any]]:
    """The deployed configuration, to be changed; it is put back afterwards."""
    yield yaml.safe_load(system.declared.program.config)
    system.restore()


def edit(system: System, config: dict[str, Any]) -> None:
    system.patch(CONFIG_MAP, {"data": {KEY: yaml.safe_dump(config, sort_keys=False)}})


def restart(system: System) -> None:
    """What a person does after an edit; the pod is younger than the edit by a second."""
    (before,) = (each["metadata"]["name"] for each in system.pods())
    time.sleep(1.1)
    annotations = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    system.patch(DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    deadline = time.monotonic() + 20
    while [each["metadata"]["name"] for each in system.pods()] in ([], [before]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    system.kube.wait_until_settled(NAMESPACE, timeout_s=30, say=print)


def only_line(lines: list[str], pattern: str) -> None:
    assert len(lines) == 1, lines
    assert re.fullmatch(pattern, lines[0]), lines[0]


def test_a_clean_system_has_no_drift_and_nothing_is_loaded(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["drift", "--url", system.url, "--volume", str(system.store.volume)]
    words += ["--lock", str(system.store.lock_path)]
    assert running(system.url) == []
    assert main([*words, "--json"]) == 0, capsys.readouterr()
    found = json.loads(capsys.readouterr().out)
    assert running(system.url) == []
    assert found["differences"] == []
    states = {each["source"]: each["state"] for each in found["sources"]}
    assert states == {
        "terraform": "not asked",
        "cluster": "asked",
        "volume": "asked",
        "server": "asked",
    }
    assert "server: no model is loaded: its flags are not known" in found["notes"]
    assert main(words) == 0
    assert "no drift in cluster, volume, server" in capsys.readouterr().out


def test_with_a_model_loaded_there_is_none_either(system: System) -> None:
    load(system.url, REGISTRY[2].id)
    assert system.lines() == []
    assert running(system.url) == [REGISTRY[2].id]
    httpx2.get(f"{system.url}/unload", trust_env=False)


def test_a_context_edited_in_the_config_map(
    system: System, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cmd = config["models"]["qwen3vl-4b"]["cmd"]
    config["models"]["qwen3vl-4b"]["cmd"] = cmd.replace("--ctx-size 3072", "-c 4096")
    edit(system, config)
    context, pod = system.lines()
    assert re.fullmatch(
        rf"model qwen3vl-4b: --ctx-size is 4096 in the ConfigMap {EDITED}, 3072 declared {COMMIT}"
        r": (the cluster is newer; )?python -m ops deploy puts 3072 back, or declare 4096 in "
        r"llama_swap_config/registry\.py",
        context,
    ), context
    assert re.fullmatch(
        r"Pod llama-swap-\S+: configuration is sha256 \w{12} in the pod \([^)]+\), sha256 \w{12} "
        r"in the ConfigMap, changed [^:]+:\d\dZ: the pod runs with the older one: kubectl .*",
        pod,
    ), pod
    restart(system)
    assert system.lines() == [context]
    assert main(["drift", "--source", "cluster"]) == 2
    assert context in capsys.readouterr().out


def test_a_model_that_the_config_map_lacks(system: System, config: dict[str, Any]) -> None:
    del config["models"]["qwen3vl-8b"]
    edit(system, config)
    restart(system)
    only_line(
        system.lines(),
        rf"model qwen3vl-8b: is absent in the ConfigMap {EDITED}, declared {COMMIT}: "
        r"(the cluster is newer; )?python -m ops deploy brings it back, .*",
    )


def test_a_model_that_only_the_config_map_has(system: System, config: dict[str, Any]) -> None:
    config["models"]["stranger"] = dict(config["models"]["qwen3vl-8b"])
    edit(system, config)
    restart(system)
    found = system.drift()
    only_line(
        [each.line for each in found.differences],
        rf"model stranger: is present in the ConfigMap {EDITED}, not declared {COMMIT}: "
        r"(the cluster is newer; )?python -m ops deploy removes it, or declare it in .*",
    )


def test_a_flag_of_all_models_is_one_line(system: System, config: dict[str, Any]) -> None:
    config["macros"]["llama_server"] += " --threads 4"
    edit(system, config)
    restart(system)
    only_line(
        system.lines(),
        rf"all models: --threads is 4 in the ConfigMap {EDITED}, not set declared {COMMIT}: "
        r"(the cluster is newer; )?python -m ops deploy takes it away, .*",
    )


def test_another_image_in_the_deployment(system: System) -> None:
    other = f"ghcr.io/mostlygeek/llama-swap@sha256:{'ab' * 32}"
    containers = (system.api.get(DEPLOYMENT) or {})["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = other
    system.patch(DEPLOYMENT, {"spec": {"template": {"spec": {"containers": containers}}}})
    try:
        lines = system.lines(sources=("cluster",))
    finally:
        system.restore()
    image = next(each for each in lines if each.startswith("Deployment "))
    assert re.fullmatch(
        rf"Deployment llama-swap: spec\.template\.spec\.containers\[llama-swap\]\.image is "
        rf"\S+@sha256:abababababab in the cluster {EDITED}, \S+@sha256:50c640b15d79 declared "
        rf"{COMMIT}: (the cluster is newer; )?python -m ops deploy puts it back, or declare it in "
        r"stacks/production\.py",
        image,
    ), image
    assert all(each.startswith(("Deployment ", "Pod ")) for each in lines)


def test_replicas_are_no_drift(system: System) -> None:
    system.patch(DEPLOYMENT, {"spec": {"replicas": 0}})
    try:
        assert system.lines(sources=("cluster",)) == []
        found = system.drift(url=None, volume=None)
        states = {each.source: (each.state, each.reason) for each in found.sources}
        assert states["server"] == ("not asked", "the Deployment llama-swap has 0 replicas")
        assert found.unreachable == ()
    finally:
        system.restore()


def test_a_service_that_is_gone(system: System) -> None:
    status, _ = system.api.request("DELETE", SERVICE)
    assert status == 200
    try:
        only_line(
            system.lines(),
            rf"Service llama-swap: is absent in the cluster, declared {COMMIT}: "
            r"python -m ops deploy makes it again",
        )
    finally:
        system.restore()


def test_an_object_that_nothing_declares(system: System) -> None:
    labels = {
        "app.kubernetes.io/part-of": "llama-cpp",
        "app.kubernetes.io/managed-by": "terraform",
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    body = {"metadata": {"name": "left-over", "labels": labels}, "data": {}}
    status, _ = system.api.request("POST", f"{path}{WRITER}", body)
    assert status == 201
    try:
        only_line(
            system.lines(),
            rf"ConfigMap left-over: is present in the cluster {EDITED}, not declared {COMMIT}: .*"
            r"kubectl -n llama-cpp delete configmap left-over, .*",
        )
    finally:
        system.api.request("DELETE", f"{path}/left-over")


def test_a_download_job_that_failed(system: System) -> None:
    name = next(
        each["metadata"]["name"] for each in system.declared.objects if each["kind"] == "Job"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = next(each for each in system.declared.objects if each["kind"] == "Job")
    system.api.request("DELETE", f"{JOBS}/{name}?propagationPolicy=Background")
    suspended = {**job, "spec": {**job["spec"], "suspend": True}}
    deadline = time.monotonic() + 20
    while system.api.request("POST", JOBS, suspended)[0] != 201:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    condition = {"status": "True", "lastTransitionTime": now, "reason": "BackoffLimitExceeded"}
    why = {"message": "exit code 28: the volume is full"}
    conditions = [
        {"type": "FailureTarget", **condition, **why},
        {"type": "Failed", **condition, **why},
    ]
    status, document = system.api.request(
        "PATCH",
        f"{JOBS}/{name}/status",
        {"status": {"conditions": conditions, "startTime": now, "failed": 1}},
    )
    assert status == 200, document
    try:
        lines = system.lines(sources=("cluster",))
    finally:
        system.api.request("DELETE", f"{JOBS}/{name}?propagationPolicy=Background")
        deadline = time.monotonic() + 20
        while system.api.get(f"{JOBS}/{name}") is not None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        system.restore()
    only_line(
        lines,
        rf"Job {name}: status is Failed: exit code 28: the volume is full in the cluster "
        rf"\([^)]+\), Complete declared {COMMIT}: .*kubectl -n llama-cpp logs "
        rf"job/{name} says why; .*",
    )


@contextmanager
def lease(system: System, left: timedelta) -> Iterator[None]:
    def text(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    now = datetime.now(UTC)
    record = json.dumps({"deadline": text(now + left), "tenants": []})
    body = {
        "metadata": {
            "name": "gpu-window",
            "annotations": {"llama-cpp-infra/gpu-window": record},
        },
        "spec": {
            "holderIdentity": "ann@laptop",
            "leaseDurationSeconds": 60,
            "acquireTime": text(now),
            "renewTime": text(now),
        },
    }
    status, document = system.api.request("POST", LEASES, body)
    assert status == 201, document
    try:
        yield
    finally:
        system.api.request("DELETE", f"{LEASES}/gpu-window")


def test_a_window_past_its_deadline(system: System) -> None:
    with lease(system, timedelta(hours=-2)):
        only_line(
            system.lines(),
            r"Lease gpu-window: window is still open, past its deadline \S+ \S+Z in the cluster "
            r"\(ann@laptop, [^)]+\), closed declared: python -m ops window --restore .*",
        )


def test_an_open_window_is_a_note(system: System) -> None:
    with lease(system, timedelta(minutes=10)):
        found = system.drift()
    assert found.differences == ()
    assert any("a GPU window of ann@laptop is open until " in each for each in found.notes)


def blob(system: System) -> Path:
    return (system.store.volume / "qwen3vl-8b" / "model.gguf").resolve()


def test_a_file_that_the_volume_lacks(system: System) -> None:
    path = blob(system)
    path.rename(away := path.with_name("away"))
    shutil.move(away, system.store.volume.parent / "away")
    try:
        only_line(
            system.lines(),
            rf"model qwen3vl-8b: file \S+\.gguf is missing on the volume, \d+ bytes declared "
            rf"{COMMIT}: python -m ops weights pull \S+ brings it, .*",
        )
    finally:
        shutil.move(system.store.volume.parent / "away", path)


def test_a_file_of_another_size(system: System) -> None:
    path = blob(system)
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    try:
        only_line(
            system.lines(),
            rf"model qwen3vl-8b: file \S+\.gguf is 1000 bytes on the volume \([^)]+Z\), "
            rf"{len(content)} bytes declared {COMMIT}: (the volume is newer; )?python -m ops "
            r"weights pull \S+ replaces it",
        )
    finally:
        path.write_bytes(content)


def test_a_link_that_leads_to_other_files(system: System) -> None:
    link = system.store.volume / "qwen3vl-8b"
    right = link.readlink()
    other = (system.store.volume / "qwen3vl-4b").readlink()
    link.unlink()
    link.symlink_to(other)
    try:
        lines = system.lines()
    finally:
        link.unlink()
        link.symlink_to(right)
    of_link = [each for each in lines if each.startswith("model ")]
    only_line(
        of_link,
        rf"model qwen3vl-8b: link is {other} on the volume \([^)]+Z\), {right} declared {COMMIT}: "
        r"(the volume is newer; )?published with other files than the lock's: .*",
    )


def test_a_file_that_nothing_names(system: System) -> None:
    path = system.store.volume / "blobs" / ("0" * 64)
    path.write_bytes(b"x" * 4096)
    try:
        only_line(
            system.lines(),
            rf"file blobs/0+: is present \(\S+ \S+\) on the volume \([^)]+Z\), not declared "
            rf"{COMMIT}: (the volume is newer; )?nothing names it: python -m ops weights prune .*",
        )
    finally:
        path.unlink()


@pytest.fixture(params=get_args(FrontEndName))
def front_end(request: pytest.FixtureRequest) -> FrontEndName:
    chosen: FrontEndName = request.param
    return chosen


def server_drift(
    front_end: FrontEndName,
    synth: Synth,
    at: Served,
    folder: Path,
    settings: Settings = SETTINGS,
) -> Drift:
    settings = replace(settings, front_end=front_end)
    document = synth(front_end=front_end)
    declared = declared_of(settings, DECLARATION, document, directory=folder)
    found = drift(declared, Ask(sources=("server",), url=at.url), say=lambda line: None)
    assert found.unreachable == ()
    return found


def test_a_server_as_declared_and_nothing_is_loaded(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    with served(REGISTRY, tmp_path, front_end) as at:
        assert server_drift(front_end, synth, at, tmp_path).differences == ()
        assert loaded(at.url) == ()
        load(at.url, REGISTRY[1].id)
        assert server_drift(front_end, synth, at, tmp_path).differences == ()
        assert loaded(at.url) == (REGISTRY[1].id,)


def test_a_running_model_with_another_context(
    front_end: FrontEndName, synth: Synth, tmp_path: Path
) -> None:
    other: Model = replace(REGISTRY[2], context=2048)
    with served((*REGISTRY[:2], other), tmp_path, front_end) as at:
        load(at.url, other.id)
        only_line(
            [each.line for each in server_drift(front_end, synth, at, tmp_path).differences],
            rf"model qwen3vl-4b: --ctx-size is 2048 in the running server, 3072 declared {COMMIT}"
            r": start it again with the declared configuration .*",
        )


def test_a_server_with_another_list(front_end: FrontEndName, synth: Synth, tmp_path: Path) -> None:
    stranger = replace(REGISTRY[1], id="stranger")
    with served((REGISTRY[0], stranger, REGISTRY[2]), tmp_path, front_end) as at:
        lines = [each.line for each in server_drift(front_end, synth, at, tmp_path).differences]
        assert loaded(at.url) == ()
    absent, present = lines
    assert absent.startswith(
        "model minicpm-v-4-5: is absent in the running server, declared (commit "
    ) or absent.startswith("model minicpm-v-4-5: is absent in the running server, declared (not ")
    assert present.startswith("model stranger: is present in the running server, not declared (")


def test_the_other_front_end(front_end: FrontEndName, synth: Synth, tmp_path: Path) -> None:
    (wanted,) = set(get_args(FrontEndName)) - {front_end}
    with served(REGISTRY, tmp_path, front_end) as at:
        only_line(
            [each.line for each in server_drift(wanted, synth, at, tmp_path).differences],
            rf"endpoint: front_end is {front_end} in the running server, {wanted} declared "
            rf"{COMMIT}: .*",
        )


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_the_key_of_a_server_is_held_against_its_declaration(
    front_end: FrontEndName,
    declared: bool,
    asked: bool,
    synth: Synth,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_GATEWAY", "s3cret")
    keys = ("KEY_GATEWAY",) if asked else ()
    with served(REGISTRY, tmp_path, front_end, api_key_env=keys) as at:
        monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
        settings = KEYED if declared else SETTINGS
        found = server_drift(front_end, synth, at, tmp_path, settings)
    lines = [each.line for each in found.differences]
    if declared == asked:
        assert lines == []
        return
    words = ["not needed", "needed"] if declared else ["needed", "not needed"]
    only_line(
        lines,
        rf"endpoint: key is {words[0]} in the running server, {words[1]} declared {COMMIT}: .*",
    )


def test_what_is_not_reached_is_named_and_the_rest_is_compared(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    dead = f"http://127.0.0.1:{free_port}"
    words = ["--lock", str(system.store.lock_path)]
    assert main(["drift", *words, "--url", dead, "--volume", str(system.store.volume)]) == 1
    shown = capsys.readouterr()
    assert f"server: unreachable: cannot connect to {dead}" in shown.out
    assert "no drift in cluster, volume; not reached: server" in shown.out
    assert shown.err.startswith(f"error: not reached: server (cannot connect to {dead}")

    nowhere = tmp_path / "nowhere"
    assert main(["drift", "--url", system.url, "--volume", str(nowhere)]) == 1
    shown = capsys.readouterr()
    assert f"volume: unreachable: {nowhere} is no directory" in shown.out
    assert "no drift in cluster, server; not reached: volume" in shown.out


def test_an_api_server_that_is_dead(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: EmbeddedCluster,
    free_port: int,
) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port}"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(tmp_path / "config"))
    found = system.drift()
    assert [each.source for each in found.unreachable] == ["cluster"]
    assert "does not answer" in found.unreachable[0].reason
    assert [each.source for each in found.sources if each.state == "asked"] == ["volume", "server"]


def test_a_database_that_is_dead(
    system: System, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("PG_CONN_STR", f"postgres://terraform@127.0.0.1:{free_port}/terraform")
    found = system.drift()
    assert [each.source for each in found.unreachable] == ["terraform"]
    assert found.unreachable[0].reason.startswith("PostgreSQL refuses the connection (")
    assert found.differences == ()


def test_a_hostile_config_map_stays_text(
    system: System, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config["models"]["qwen3vl-4b"]["name"] = "`\x1b[31m</code>\n| @everyone " + "x" * 100_000
    config["models"]["a`b|c\x1b]0;x\x07"] = {"cmd": "llama-server"}
    config["models"]["qwen3vl-8b"]["cmd"] += " --api-key s3cret"
    edit(system, config)
    for words in ([], ["--json"], ["--markdown"]):
        assert main(["drift", "--source", "cluster", *words]) == 2
        shown = capsys.readouterr().out
        assert "\x1b" not in shown
        assert "s3cret" not in shown
        assert "redacted" in shown
        assert len(shown) < 8000


def running(url: str) -> list[str]:
    found = httpx2.get(f"{url}/running", trust_env=False).json()["running"]
    return [each["model"] for each in found]


def loaded(url: str) -> tuple[str, ...]:
    with Endpoint(url) as found:
        return find_residents(found, timeout_s=10).loaded


def load(url: str, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    response = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert response.status_code == 200, response.text
