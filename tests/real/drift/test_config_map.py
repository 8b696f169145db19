"""Drift of the front end's configuration, edited in its ConfigMap."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from ops.cli import main
from tests.real.drift.system import (
    COMMIT,
    CONFIG_MAP,
    DEPLOYMENT,
    EDITED,
    KEY,
    System,
    only_line,
)


@pytest.fixture
def config(system: System) -> Iterator[dict[str, Any]]:
    """The deployed configuration, to be changed; it is put back afterwards."""
    yield yaml.safe_load(system.declared.program.config)
    system.restore()


def edit(system: System, config: dict[str, Any]) -> None:
    system.patch(CONFIG_MAP, {"data": {KEY: yaml.safe_dump(config, sort_keys=False)}})


def restart(system: System) -> None:
    """What a person does after an edit; the pod is younger than the edit by a second."""
    (before,) = (pod["metadata"]["name"] for pod in system.pods())
    time.sleep(1.1)
    annotations = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    system.patch(DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    deadline = time.monotonic() + 20
    while [pod["metadata"]["name"] for pod in system.pods()] in ([], [before]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    system.until_settled()


def test_a_context_edited_in_the_config_map_is_drift(
    system: System, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cmd = config["models"]["qwen3vl-4b"]["cmd"]
    config["models"]["qwen3vl-4b"]["cmd"] = cmd.replace("--ctx-size 3072", "-c 4096")
    edit(system, config)
    context, pod = system.lines()
    assert re.fullmatch(
        rf"model qwen3vl-4b: --ctx-size is 4096 in the ConfigMap {EDITED}, 3072 declared {COMMIT}"
        r": (the cluster is newer; )?python -m ops deploy restores 3072, or declare 4096 in "
        r"llama_swap_config/registry\.py",
        context,
    ), context
    assert re.fullmatch(
        r"Pod llama-swap-\S+: configuration is sha256 \w{12} in the pod \([^)]+\), sha256 \w{12} "
        r"in the ConfigMap, changed [^:]+:\d\dZ: the pod runs an older configuration: kubectl .*",
        pod,
    ), pod
    restart(system)
    assert system.lines() == [context]
    assert main(["drift", "--source", "cluster"]) == 2
    assert context in capsys.readouterr().out


def test_a_model_missing_in_the_config_map_is_drift(
    system: System, config: dict[str, Any]
) -> None:
    del config["models"]["qwen3vl-8b"]
    edit(system, config)
    restart(system)
    only_line(
        system.lines(),
        rf"model qwen3vl-8b: is absent in the ConfigMap {EDITED}, declared {COMMIT}: "
        r"(the cluster is newer; )?python -m ops deploy restores it, .*",
    )


def test_an_undeclared_model_in_the_config_map_is_drift(
    system: System, config: dict[str, Any]
) -> None:
    config["models"]["stranger"] = dict(config["models"]["qwen3vl-8b"])
    edit(system, config)
    restart(system)
    result = system.drift()
    only_line(
        [difference.line for difference in result.differences],
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
        r"(the cluster is newer; )?python -m ops deploy removes it, .*",
    )


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
