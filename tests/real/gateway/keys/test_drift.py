"""Drift of the consumers' keys in a real cluster."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.cluster.api import Document, KubeApi
from ops.cluster.paths import object_path
from ops.cluster.server_side_apply import Cluster
from ops.commands.drift import gateway
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.difference import Look, NotAskedError, merge
from ops.commands.drift.object_fields import epoch
from ops.commands.drift.run import Ask, drift
from ops.embedded.cluster import EmbeddedCluster
from stacks.settings import Settings
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY
from tests.real.drift.system import COMMIT, EDITED, only_line, until
from tests.real.gateway.keys.cluster_keys import Keys, edit, sha256
from tests.real.plan.reader import log_in

NAMES = [consumer.name for consumer in DECLARATION.consumers]


@pytest.fixture(scope="session")
def declared(
    settings: Settings,
    synth: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Declared:
    document = synth(gateway=EXISTING_GATEWAY, **WITH_KEY)
    return declared_of(settings, DECLARATION, document, directory=tmp_path_factory.mktemp("app"))


def lines(look: Look) -> list[str]:
    found = merge(("gateway", finding) for finding in look.findings)
    return [difference.line for difference in found]


def all_have_keys(keys: Keys) -> None:
    for name in NAMES:
        keys("new", name)


def by_hand(api: KubeApi, consumer: str, entry: str | None) -> None:
    text = None if entry is None else base64.b64encode(entry.encode()).decode()
    edit(api, {"data": {consumer: text}})


def test_one_or_two_keys_are_no_drift(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    keys("new", "n8n")
    assert lines(gateway.look(declared, api)) == []
    keys("retire", "n8n")
    assert lines(gateway.look(declared, api)) == []


def test_no_secret(declared: Declared, api: KubeApi) -> None:
    only_line(
        lines(gateway.look(declared, api)),
        rf"Secret litellm/gateway-keys: is absent in the cluster, declared {COMMIT}: no consumer "
        r"can ask: `python -m ops gateway keys new CONSUMER` makes it",
    )


def test_a_consumer_without_a_key_cannot_ask(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    keys("retire", "n8n", "--all", "--yes")
    only_line(
        lines(gateway.look(declared, api)),
        r"consumer n8n: keys is refused \(it has no keys; expected 1 or 2\) in the Secret, "
        rf"1 or 2 valid keys declared {COMMIT}: it cannot ask: `python -m ops gateway keys new "
        r"n8n`",
    )


def test_a_key_added_by_hand(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    by_hand(api, "n8n", f"sha256:{sha256('sk-mine')} 2026-11-01\n")
    only_line(
        lines(gateway.look(declared, api)),
        rf"Secret litellm/gateway-keys: entries written by hand is n8n in the Secret {EDITED}, "
        rf"none declared {COMMIT}: (the gateway is newer; )?somebody added or removed a key: .*"
        r"`python -m ops gateway keys accept` takes the rest as they are",
    )
    keys("accept")
    assert lines(gateway.look(declared, api)) == []


def test_a_key_removed_by_hand(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    by_hand(api, "n8n", None)
    found = lines(gateway.look(declared, api))
    assert len(found) == 2
    assert found[0].startswith("consumer n8n: keys is refused (it has no keys;")
    assert "entries written by hand is changed by hand" in found[1]


def test_three_keys_and_a_line_that_is_cut(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    three = "".join(f"sha256:{sha256(key)} 2026-11-01\n" for key in "abc")
    by_hand(api, "n8n", three)
    by_hand(api, "photo-poster", f"sha256:{sha256('d')[:30]}")
    by_hand(api, "home-assistant", "sk-the-key-itself")
    found = {line.partition(":")[0]: line for line in lines(gateway.look(declared, api))}
    assert "refused (it has 3 keys; expected 1 or 2) in the Secret" in found["consumer n8n"]
    assert "refused (line 1 is cut or damaged; expected" in found["consumer photo-poster"]
    assert "refused (line 1 is a key itself; expected" in found["consumer home-assistant"]
    assert all("keys retire" in line for line in found.values())
    assert "sk-the-key" not in str(found)
    assert sha256("a") not in str(found)


def test_a_key_of_two_consumers(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    same = f"sha256:{sha256('a')} 2026-11-01\n"
    for name in ("n8n", "photo-poster"):
        by_hand(api, name, same)
    keys("accept")
    found = lines(gateway.look(declared, api))
    assert "refused (its key is also that of n8n) in" in found[0]
    assert "refused (its key is also that of photo-poster) in" in found[1]


def test_an_entry_that_nobody_declares(declared: Declared, api: KubeApi, keys: Keys) -> None:
    all_have_keys(keys)
    by_hand(api, "left-over", f"sha256:{sha256('a')} 2026-11-01\n")
    keys("accept")
    only_line(
        lines(gateway.look(declared, api)),
        rf"consumer left-over: is present in the Secret {EDITED}, not declared {COMMIT}: (the "
        r"gateway is newer; )?`python -m ops gateway keys retire left-over --all` removes its "
        r"keys, or declare it in llama_swap_config/consumers\.py",
    )


@pytest.fixture
def config_maps(declared: Declared, kube: Cluster, api: KubeApi) -> Iterator[None]:
    made = [
        manifest
        for manifest in declared.objects
        if manifest["kind"] == "ConfigMap" and manifest["metadata"]["namespace"] == "litellm"
    ]
    assert len(made) == 2
    kube.apply(made)
    yield
    for manifest in made:
        api.request("DELETE", object_path(manifest))


def test_an_existing_gateway_mounts_its_files_and_starts_after_them(
    declared: Declared, kube: Cluster, api: KubeApi, keys: Keys, config_maps: None
) -> None:
    all_have_keys(keys)

    def files() -> list[str]:
        return lines(gateway.look(declared, api))

    without = files()
    assert len(without) == 2
    assert re.fullmatch(
        r"ConfigMap llama-cpp-gateway: mounts is in no pod of namespace litellm, in LiteLLM's pod "
        rf"declared {COMMIT}: the gateway checks no key: let LiteLLM mount it, as "
        r"docs/gateway\.md says",
        without[0],
    ), without[0]
    pod: Document = {
        "metadata": {"name": "litellm"},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "litellm", "image": "a"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "llama-cpp-gateway"}},
                {
                    "name": "b",
                    "projected": {"sources": [{"configMap": {"name": "llama-cpp-gateway-hooks"}}]},
                },
            ],
        },
    }
    pods = "/api/v1/namespaces/litellm/pods"
    status, answer = api.request("POST", pods, pod)
    assert status == 201, answer
    try:
        until(lambda: ((api.get(f"{pods}/litellm") or {}).get("status") or {}).get("startTime"))
        assert files() == []
        # The next second, as the API server's times have no smaller part.
        until(lambda: time.time() > epoch_of(api, f"{pods}/litellm") + 1)
        path = "/api/v1/namespaces/litellm/configmaps/llama-cpp-gateway"
        status, _ = api.request("PATCH", path, {"data": {"policy.json": "{}"}})
        assert status == 200
        (line,) = files()
        assert line.startswith(
            "Pod litellm/litellm: content of ConfigMap llama-cpp-gateway is an older one in"
        )
        assert line.endswith("LiteLLM reads it when it starts: restart its Deployment")
    finally:
        api.request("DELETE", f"{pods}/litellm?gracePeriodSeconds=0")
        until(lambda: api.get(f"{pods}/litellm") is None)


def epoch_of(api: KubeApi, path: str) -> float:
    started_s = epoch((api.get(path) or {})["status"]["startTime"])
    assert started_s is not None
    return started_s


def test_an_account_that_may_not_read_the_secret(
    declared: Declared,
    cluster: EmbeddedCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = log_in(cluster, "litellm", "default", tmp_path)
    with KubeApi(target) as connected:
        with pytest.raises(NotAskedError, match="403: secrets"):
            gateway.look(declared, connected)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
    result = drift(declared, Ask(sources=("gateway",)), say=lambda _line: None)
    assert [state.source for state in result.unreachable] == ["gateway"]
    assert "403: secrets" in result.unreachable[0].reason
