"""No key is written anywhere but where it is asked for: not by a deploy, a plan or a gateway."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from in_pod.gateway.contract import CONFIG_FILE, POLICY_FILE
from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.cluster.storage import ProvisionedStorage
from ops.cli import main
from ops.cluster.api import KubeApi
from ops.cluster.gateway_keys import entries_of
from ops.cluster.own_secret import SecretPlace
from ops.commands.deploy import run as run_deploy
from ops.commands.drift import declared as drift_declared
from ops.commands.serve import run as serve
from ops.commands.up import run as run_up
from ops.commands.up.run import Deployed
from ops.embedded.cluster import EmbeddedCluster
from ops.machine import gateway as gateway_process
from ops.terraform import synth as ops_synth
from ops.terraform.synth import Synthesized
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import BARE, GATEWAY, WITH_KEY
from tests.real.embedded.production_file import declare_production
from tests.real.gateway.gateway import NO_INTERNET

pytestmark = pytest.mark.usefixtures("running_provider")

SETTINGS = replace(
    BARE,
    storage=ProvisionedStorage(storage_class="longhorn"),
    sharing=Alone(),
    gateway=GATEWAY,
    **WITH_KEY,
)
KEYS = SecretPlace(namespace="llama-cpp", name="gateway-keys")
KINDS = (
    *("/api/v1/configmaps", "/api/v1/pods", "/api/v1/events", "/api/v1/services"),
    *("/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/apis/batch/v1/jobs"),
)


@pytest.fixture
def declared_gateway(cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Instead of the other files' gateway, which runs already: this one is deployed."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    yield
    serve.stop(cluster.state_dir)


@pytest.fixture
def deployed(
    declared_gateway: None,
    cluster: EmbeddedCluster,
    synth: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Deployed:
    declare_production(monkeypatch, synth, SETTINGS)
    deployed = run_up.up(cluster.state_dir, settings=SETTINGS, say=print)
    directory = cluster.state_dir / "cdktf.out" / "stacks" / "llama-cpp"
    document = json.loads((directory / "cdk.tf.json").read_text())
    synthesized = Synthesized(directory=directory, document=document)
    for module in (run_deploy, drift_declared, ops_synth):
        monkeypatch.setattr(module, "synthesize", lambda **_how: synthesized)
    return deployed


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """All that was written, by place."""

    places: dict[str, str]

    def with_any(self, words: set[str]) -> list[str]:
        return [
            place for place, text in self.places.items() if any(word in text for word in words)
        ]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path): path.read_bytes().decode(errors="replace")
        for path in folder.rglob("*")
        # The endpoint's own keys lie in `keys`, and the test's own in `mounted`.
        if path.is_file() and not {"keys", "mounted", "etcd"} & set(path.parts)
    }


def of_cluster(api: KubeApi) -> dict[str, str]:
    return {path: json.dumps(api.get(path)) for path in KINDS}


def of_state(conn_str: str) -> dict[str, str]:
    with psycopg.connect(conn_str) as admin:
        rows = admin.execute('select name, data from "llama-cpp".states').fetchall()
    assert rows
    return {f"state {name}": data for name, data in rows}


def of_processes() -> dict[str, str]:
    found = {}
    for process in psutil.process_iter(["pid", "cmdline"]):
        found[f"process {process.info['pid']}"] = " ".join(process.info["cmdline"] or ())
    return found


def start_gateway(
    deployed: Deployed, api: KubeApi, folder: Path
) -> gateway_process.RunningGateway:
    """Start what the Deployment would: the ConfigMaps' texts, and the Secret as files."""
    config_map = api.get("/api/v1/namespaces/llama-cpp/configmaps/gateway") or {}
    texts = {
        name: text.replace(SETTINGS.url, deployed.served.url)
        for name, text in config_map["data"].items()
    }
    policy = json.loads(texts[POLICY_FILE])
    policy["endpoint"]["front_end"] = deployed.served.front_end
    for consumer in policy["consumers"].values():
        consumer["may_evict"] = True  # What `up` asked stays protected for a minute.
    keys_dir = folder / "mounted"
    keys_dir.mkdir()
    for name, entry in entries_of(KEYS.read(api)).items():
        (keys_dir / name).write_text(entry)
    assert deployed.served.key is not None
    return gateway_process.start(
        folder,
        config=texts[CONFIG_FILE],
        policy=json.dumps(policy),
        keys_dir=keys_dir,
        endpoint_key=deployed.served.key.read(),
        env=NO_INTERNET,
        say=print,
    )


def test_no_key_is_written_anywhere(
    deployed: Deployed,
    cluster: EmbeddedCluster,
    api: KubeApi,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made = {}
    shown = ""
    for consumer in DECLARATION.consumers:
        capfd.readouterr()
        assert main(["gateway", "keys", "new", consumer.name]) == 0
        printed = capfd.readouterr()
        made[consumer.name] = printed.out.strip()
        shown += printed.err
    assert main(["gateway", "keys", "new", "n8n", "--secret", "llm"]) == 0
    secret = api.get("/api/v1/namespaces/n8n/secrets/llm") or {}
    in_secret = base64.b64decode(secret["data"]["LLAMA_API_KEY"]).decode()
    keys = {*made.values(), in_secret}

    assert main(["gateway", "keys"]) == 0
    assert main(["gateway", "keys", "--json"]) == 0
    assert main(["manifests", "--out", str(tmp_path / "manifests.yaml")]) == 0
    assert main(["deploy", "--yes"]) == 0
    main(["drift", "--json", "--source", "terraform", "--source", "cluster"])
    assert main(["drift", "--source", "gateway"]) == 0
    assert main(["gateway", "keys", "retire", "n8n"]) == 0
    running = start_gateway(deployed, api, tmp_path)
    try:
        monkeypatch.setenv("LLAMA_API_KEY", in_secret)
        words = ["smoke", "--consumer", "n8n", "--url", running.url, "--random-weights"]
        assert main([*words, "--junit", str(tmp_path / "smoke.xml")]) == 0
        monkeypatch.setenv("LLAMA_API_KEY", made["photo-poster"])
        assert main([*words, "--json"]) == 1
        metrics = httpx2.get(f"{running.url}/metrics/", trust_env=False).text
        processes = of_processes()
    finally:
        gateway_process.stop(tmp_path)
    printed = capfd.readouterr()
    written = Written(
        places={
            "what commands print": shown + printed.out + printed.err,
            "metrics": metrics,
            **of_state(cluster.pg_conn_str),
            **of_cluster(api),
            **processes,
            **files(tmp_path),
            **files(cluster.state_dir),
        }
    )
    encoded = {base64.b64encode(key.encode()).decode() for key in keys}
    hashes = {hashlib.sha256(key.encode()).hexdigest() for key in keys}
    assert written.with_any(keys | encoded) == []
    assert written.with_any(hashes) == []
    # Each kind of place was read: every one of them names the consumers or the endpoint.
    found = written.with_any({"photo-poster", "llama-cpp"})
    for place in ("what commands print", "metrics", "state default", "/api/v1/configmaps"):
        assert place in found
    assert str(running.log) in written.places
