"""`ops gateway keys` on the Secret of a real API server."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest

from in_pod.gateway.contract import KEYS_ANNOTATION
from ops.cluster.api import Document, KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.own_secret import UnsettledError
from ops.commands.gateway.keys import secret as consumer_secret
from ops.commands.gateway.keys.rotation import make
from ops.commands.gateway.keys.secret import KeysSecret
from ops.embedded.cluster import EmbeddedCluster
from ops.endpoint.consumer_keys import valid_keys
from ops.errors import OpsError, RefusedError
from tests.real.gateway.keys.cluster_keys import PATH, PLACE, SECRETS, Keys, edit, sha256
from tests.real.plan.reader import log_in


def entry(api: KubeApi, consumer: str, path: str = PATH) -> str:
    secret = api.get(path) or {}
    return base64.b64decode(secret["data"][consumer]).decode()


def hashes(api: KubeApi, consumer: str) -> list[str]:
    return [key.sha256 for key in valid_keys(entry(api, consumer))]


def test_a_rotation(api: KubeApi, keys: Keys) -> None:
    first, _ = keys("new", "n8n")
    second, _ = keys("new", "n8n")
    assert hashes(api, "n8n") == [sha256(first), sha256(second)]
    secret = api.get(PATH) or {}
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/part-of": "llama-cpp",
        "app.kubernetes.io/managed-by": "llama-cpp-infra",
    }
    for key in (first, second):
        assert key not in str(secret)
        assert base64.b64encode(key.encode()).decode() not in str(secret)
    assert "has 2 valid keys" in keys("new", "n8n", code=3)[1]
    keys("retire", "n8n")
    assert hashes(api, "n8n") == [sha256(second)]
    keys("new", "photo-poster")
    keys("retire", "n8n", "--all", "--yes")
    assert list((api.get(PATH) or {})["data"]) == ["photo-poster"]


def test_a_key_into_a_secret_of_the_consumer(api: KubeApi, keys: Keys) -> None:
    printed, aside = keys("new", "n8n", "--secret", "llm")
    path = "/api/v1/namespaces/n8n/secrets/llm"
    key = entry(api, "LLAMA_API_KEY", path)
    assert printed == ""
    assert key not in aside
    assert hashes(api, "n8n") == [sha256(key)]
    keys("new", "n8n", "--secret", "llm")
    assert hashes(api, "n8n")[1] == sha256(entry(api, "LLAMA_API_KEY", path))


def test_a_secret_of_others_gets_no_key(api: KubeApi, keys: Keys) -> None:
    """Nothing is made for a place that cannot be written."""
    body = {"metadata": {"name": "llm"}, "data": {"LLAMA_API_KEY": "b2xk"}}
    assert api.request("POST", "/api/v1/namespaces/n8n/secrets", body)[0] == 201
    error = keys("new", "n8n", "--secret", "llm", code=1)[1]
    assert "Secret n8n/llm is managed by nobody that it names; expected the label" in error
    error = keys("new", "photo-poster", "--secret", "llm", code=1)[1]
    assert 'refuses to write Secret photo-poster/llm (404: namespaces "photo-poster"' in error
    assert api.get(PATH) is None


@pytest.mark.parametrize(
    ("error", "valid"),
    [(OpsError("the API server refuses to write it"), 0), (UnsettledError("not known"), 1)],
)
def test_a_key_that_did_not_arrive_is_removed_and_one_that_may_have_stays(
    api: KubeApi, keys: Keys, monkeypatch: pytest.MonkeyPatch, error: OpsError, valid: int
) -> None:
    def fails(*_arguments: object, dry_run: bool = False) -> None:
        if not dry_run:
            raise error

    monkeypatch.setattr(consumer_secret, "write_key", fails)
    assert str(error) in keys("new", "n8n", "--secret", "other", code=1)[1]
    stored = ((api.get(PATH) or {}).get("data") or {}).get("n8n", "")
    assert len(valid_keys(base64.b64decode(stored).decode())) == valid


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
    api: KubeApi, keys: Keys, metadata: Document, owner: str
) -> None:
    body = {"metadata": {"name": PLACE.name, **metadata}, "data": {"a": "eA=="}}
    assert api.request("POST", SECRETS, body)[0] == 201
    for words in ([], ["new", "n8n"], ["retire", "a", "--all", "--yes"], ["accept"]):
        error = keys(*words, code=1)[1]
        assert f"Secret litellm/gateway-keys is managed by {owner}; expected the label" in error
    assert (api.get(PATH) or {})["data"] == {"a": "eA=="}


def test_a_change_by_hand_stays_known_until_it_is_accepted(api: KubeApi, keys: Keys) -> None:
    keys("new", "n8n")
    assert keys()[1] == ""
    line = f"sha256:{sha256('sk-mine')} 2026-11-01\n"
    edit(api, {"data": {"photo-poster": base64.b64encode(line.encode()).decode()}})
    warning = "Secret litellm/gateway-keys was changed by hand before"
    assert warning in keys()[1].replace("\n", " ")
    assert warning in keys("new", "n8n")[1]
    assert warning in keys("retire", "n8n")[1]
    assert ": accepted" in keys("accept")[1]
    assert keys()[1] == ""
    assert ": nothing was changed by hand" in keys("accept")[1]


def test_a_key_whose_stamp_was_removed_is_a_change_by_hand(api: KubeApi, keys: Keys) -> None:
    keys("new", "n8n")
    edit(api, {"metadata": {"annotations": {KEYS_ANNOTATION: None}}})
    assert "was changed by hand" in keys()[1]


def test_an_entry_that_is_no_text_survives_others(api: KubeApi, keys: Keys) -> None:
    keys("new", "photo-poster")
    edit(api, {"data": {"n8n": "//79"}})
    keys("new", "photo-poster")
    assert (api.get(PATH) or {})["data"]["n8n"] == "//79"
    assert "line 1 is cut or damaged" in keys("new", "n8n", code=1)[1]
    keys("retire", "n8n", "--all", "--yes")


def test_nothing_to_accept(keys: Keys) -> None:
    error = keys("accept", code=1)[1]
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
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    target = log_in(cluster, "litellm", "default", tmp_path)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
    error = keys("new", "n8n", code=1)[1]
    assert f"the API server refuses GET {PATH} (403: secrets" in error


def test_the_current_context_is_never_taken(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBE_CTX")
    assert "KUBE_CTX is not set; expected one of" in keys("new", "n8n", code=1)[1]
