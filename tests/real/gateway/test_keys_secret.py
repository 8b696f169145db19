"""`ops gateway keys` on the Secret of a real API server."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from in_pod.gateway.contract import KEYS_ANNOTATION
from llama_swap_config.gateway.settings import ExistingGateway
from ops.cli import main
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.own_secret import SecretPlace
from ops.cluster.server_side_apply import Cluster
from ops.commands.gateway.keys import secret as consumer_secret
from ops.commands.gateway.keys.rotation import make
from ops.commands.gateway.keys.secret import KeysSecret
from ops.embedded.cluster import EmbeddedCluster
from ops.endpoint.consumer_keys import valid_keys
from ops.errors import OpsError, RefusedError
from tests.declaration.settings import SETTINGS
from tests.real.plan.reader import create_namespace, log_in

PLACE = SecretPlace(namespace="litellm", name="gateway-keys")
SECRETS = "/api/v1/namespaces/litellm/secrets"
PATH = f"{SECRETS}/{PLACE.name}"


@pytest.fixture(scope="module")
def api(cluster: EmbeddedCluster, kube: Cluster) -> Iterator[KubeApi]:
    for name in ("litellm", "n8n"):
        create_namespace(kube, name)
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    with KubeApi(target) as connected:
        yield connected


@pytest.fixture(autouse=True)
def declared(
    api: KubeApi, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    gateway = ExistingGateway(namespace="litellm", litellm_version="1.108.7")
    settings = replace(SETTINGS, gateway=gateway)
    monkeypatch.setattr("stacks.declared.load_settings", lambda: settings)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(cluster.kubeconfig))
    monkeypatch.setenv("KUBE_CTX", cluster.kube_context)
    yield
    for path in (PATH, "/api/v1/namespaces/n8n/secrets/llm"):
        api.request("DELETE", path)


def keys(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["gateway", "keys", *words]) == code
    printed = capsys.readouterr()
    return printed.out.strip(), printed.err


def entry(api: KubeApi, consumer: str, path: str = PATH) -> str:
    secret = api.get(path) or {}
    return base64.b64decode(secret["data"][consumer]).decode()


def hashes(api: KubeApi, consumer: str) -> list[str]:
    return [key.sha256 for key in valid_keys(entry(api, consumer))]


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def edit(api: KubeApi, body: Document) -> None:
    status, answer = api.request("PATCH", f"{PATH}?fieldManager=kubectl-edit", body)
    assert status == 200, answer


def test_a_rotation(api: KubeApi, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = keys(capsys, "new", "n8n")
    second, _ = keys(capsys, "new", "n8n")
    assert hashes(api, "n8n") == [sha256(first), sha256(second)]
    secret = api.get(PATH) or {}
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/part-of": "llama-cpp",
        "app.kubernetes.io/managed-by": "llama-cpp-infra",
    }
    for key in (first, second):
        assert key not in str(secret)
        assert base64.b64encode(key.encode()).decode() not in str(secret)
    assert "has 2 valid keys" in keys(capsys, "new", "n8n", code=3)[1]
    keys(capsys, "retire", "n8n")
    assert hashes(api, "n8n") == [sha256(second)]
    keys(capsys, "new", "photo-poster")
    keys(capsys, "retire", "n8n", "--all", "--yes")
    assert list((api.get(PATH) or {})["data"]) == ["photo-poster"]


def test_a_key_into_a_secret_of_the_consumer(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, aside = keys(capsys, "new", "n8n", "--secret", "llm")
    path = "/api/v1/namespaces/n8n/secrets/llm"
    key = entry(api, "LLAMA_API_KEY", path)
    assert printed == ""
    assert key not in aside
    assert hashes(api, "n8n") == [sha256(key)]
    keys(capsys, "new", "n8n", "--secret", "llm")
    assert hashes(api, "n8n")[1] == sha256(entry(api, "LLAMA_API_KEY", path))


def test_a_secret_of_others_gets_no_key(
    api: KubeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made for a place that cannot be written."""
    body = {"metadata": {"name": "llm"}, "data": {"LLAMA_API_KEY": "b2xk"}}
    assert api.request("POST", "/api/v1/namespaces/n8n/secrets", body)[0] == 201
    error = keys(capsys, "new", "n8n", "--secret", "llm", code=1)[1]
    assert "Secret n8n/llm is managed by nobody that it names; expected the label" in error
    error = keys(capsys, "new", "photo-poster", "--secret", "llm", code=1)[1]
    assert 'refuses to write Secret photo-poster/llm (404: namespaces "photo-poster"' in error
    assert api.get(PATH) is None

    def fails(*_arguments: object, dry_run: bool = False) -> None:
        if not dry_run:
            raise OpsError("the API server does not answer")

    monkeypatch.setattr(consumer_secret, "write_key", fails)
    keys(capsys, "new", "n8n", "--secret", "other", code=1)
    assert not (api.get(PATH) or {}).get("data")


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        ({}, "nobody that it names"),
        (
            {
                "labels": {"app.kubernetes.io/managed-by": "llama-cpp-infra"},
                "ownerReferences": [
                    {"apiVersion": "a/v1", "kind": "SealedSecret", "name": "x", "uid": "1"}
                ],
            },
            "SealedSecret x",
        ),
    ],
)
def test_a_keys_secret_of_others_is_left_alone(
    api: KubeApi, capsys: pytest.CaptureFixture[str], metadata: Document, owner: str
) -> None:
    body = {"metadata": {"name": PLACE.name, **metadata}, "data": {"a": "eA=="}}
    assert api.request("POST", SECRETS, body)[0] == 201
    for words in ([], ["new", "n8n"], ["retire", "a", "--all", "--yes"], ["accept"]):
        error = keys(capsys, *words, code=1)[1]
        assert f"Secret litellm/gateway-keys is managed by {owner}; expected the label" in error
    assert (api.get(PATH) or {})["data"] == {"a": "eA=="}


def test_a_change_by_hand_stays_known_until_it_is_accepted(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    keys(capsys, "new", "n8n")
    assert keys(capsys)[1] == ""
    line = f"sha256:{sha256('sk-mine')} 2026-11-01\n"
    edit(api, {"data": {"photo-poster": base64.b64encode(line.encode()).decode()}})
    warning = "Secret litellm/gateway-keys was changed by hand before"
    assert warning in keys(capsys)[1].replace("\n", " ")
    assert warning in keys(capsys, "new", "n8n")[1]
    assert warning in keys(capsys, "retire", "n8n")[1]
    assert ": accepted" in keys(capsys, "accept")[1]
    assert keys(capsys)[1] == ""
    assert ": nothing was changed by hand" in keys(capsys, "accept")[1]


def test_a_key_whose_stamp_was_removed_is_a_change_by_hand(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    keys(capsys, "new", "n8n")
    edit(api, {"metadata": {"annotations": {KEYS_ANNOTATION: None}}})
    assert "was changed by hand" in keys(capsys)[1]


def test_an_entry_that_is_no_text_survives_others(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    keys(capsys, "new", "photo-poster")
    edit(api, {"data": {"n8n": "//79"}})
    keys(capsys, "new", "photo-poster")
    assert (api.get(PATH) or {})["data"]["n8n"] == "//79"
    assert "line 1 is cut or damaged" in keys(capsys, "new", "n8n", code=1)[1]
    keys(capsys, "retire", "n8n", "--all", "--yes")


def test_nothing_to_accept(capsys: pytest.CaptureFixture[str]) -> None:
    error = keys(capsys, "accept", code=1)[1]
    assert "Secret litellm/gateway-keys does not exist; python -m ops gateway keys new" in error


def test_keys_made_at_the_same_time(api: KubeApi, cluster: EmbeddedCluster) -> None:
    """Each client reads, and writes only what nobody changed since."""
    target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
    made: dict[str, list[str]] = {name: [] for name in ("n8n", "photo-poster", "home-assistant")}
    refused = []

    def one(consumer: str) -> None:
        with KubeApi(target) as connected:
            try:
                made[consumer].append(make(KeysSecret(connected, PLACE), consumer)[1].sha256)
            except RefusedError:
                refused.append(consumer)

    threads = [threading.Thread(target=one, args=(name,)) for name in (*made, *made, *made)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == sorted(made)
    assert {name: sorted(hashes(api, name)) for name in made} == {
        name: sorted(found) for name, found in made.items()
    }


def test_an_account_without_rights(
    cluster: EmbeddedCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    target = log_in(cluster, "litellm", "default", tmp_path)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
    error = keys(capsys, "new", "n8n", code=1)[1]
    assert f"the API server refuses GET {PATH} (403: secrets" in error


def test_the_current_context_is_never_taken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBE_CTX")
    assert "KUBE_CTX is not set; expected one of" in keys(capsys, "new", "n8n", code=1)[1]
