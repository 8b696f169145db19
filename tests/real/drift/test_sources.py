"""Drift of all sources together: none on a clean system, and one that is not reached is named."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
import yaml

from ops.cli import main
from ops.embedded.cluster import EmbeddedCluster
from tests.declaration.registry import REGISTRY
from tests.real.drift.system import System, load, running


def test_a_clean_system_has_no_drift_and_nothing_is_loaded(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["drift", "--url", system.url, "--volume", str(system.store.volume)]
    words += ["--lock", str(system.store.lock_path)]
    assert running(system.url) == []
    assert main([*words, "--json"]) == 0, capsys.readouterr()
    result = json.loads(capsys.readouterr().out)
    assert running(system.url) == []
    assert result["differences"] == []
    states = {state["source"]: state["state"] for state in result["sources"]}
    assert states == {
        "terraform": "not asked",
        "cluster": "asked",
        "volume": "asked",
        "server": "asked",
        "gateway": "not asked",
    }
    assert "server: no model is loaded; no flags are compared" in result["notes"]
    assert main(words) == 0
    assert "no drift in cluster, volume, server" in capsys.readouterr().out


def test_a_loaded_model_is_not_drift(system: System) -> None:
    load(system.url, REGISTRY[2].id)
    assert system.lines() == []
    assert running(system.url) == [REGISTRY[2].id]
    httpx2.get(f"{system.url}/unload", trust_env=False)


def test_an_unreachable_source_is_named_and_the_others_are_compared(
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
    assert f"volume: unreachable: {nowhere} is not a directory" in shown.out
    assert "no drift in cluster, server; not reached: volume" in shown.out


def test_a_dead_api_server_is_unreachable(
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
    result = system.drift()
    assert [state.source for state in result.unreachable] == ["cluster"]
    assert "does not answer" in result.unreachable[0].reason
    assert [state.source for state in result.sources if state.state == "asked"] == [
        "volume",
        "server",
    ]


def test_a_dead_database_is_unreachable(
    system: System, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("PG_CONN_STR", f"postgres://terraform@127.0.0.1:{free_port}/terraform")
    result = system.drift()
    assert [state.source for state in result.unreachable] == ["terraform"]
    assert result.unreachable[0].reason.startswith("PostgreSQL refuses the connection (")
    assert result.differences == ()
