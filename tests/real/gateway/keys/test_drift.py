"""Drift of the consumers' keys in a real cluster."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.cluster.api import KubeApi
from ops.commands.drift import gateway
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.difference import Look, NotAskedError, merge
from ops.commands.drift.run import Ask, drift
from ops.embedded.cluster import EmbeddedCluster
from stacks.settings import Settings
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import EXISTING_GATEWAY, WITH_KEY
from tests.real.drift.system import COMMIT, EDITED, only_line
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
    return [
        difference.line
        for difference in merge(("gateway", finding) for finding in look.findings)
        if not difference.subject.startswith("ConfigMap ")
    ]


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
