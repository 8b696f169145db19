"""`manifests` with the Prometheus Operator and several pools."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from llama_swap_config.cluster.monitoring import Monitoring
from ops.cli import app
from tests.conftest import Synth
from tests.declaration.pools import HOUSED, POOLED, POOLED_DECLARATION, POOLS


def test_a_service_monitor_for_each_pool_and_one_prometheus_rule(
    synth: Synth, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"pool": POOLED.pool, "pools": POOLED.pools, "gpu": POOLED.gpu}
    document = synth(HOUSED, **changes)
    settings = replace(POOLED, monitoring=Monitoring(operator=True))
    monkeypatch.setattr("stacks.declared.load_settings", lambda: settings)
    monkeypatch.setattr("llama_swap_config.declaration.load", lambda: POOLED_DECLARATION)
    monkeypatch.setattr(
        "ops.terraform.synth.synthesize", lambda: SimpleNamespace(document=document)
    )
    ran = CliRunner().invoke(app, ["manifests"])
    assert ran.exit_code == 0, ran.exception
    found = [
        (it["kind"], it["metadata"]["namespace"])
        for it in yaml.safe_load_all(ran.stdout)
        if it["apiVersion"] == "monitoring.coreos.com/v1"
    ]
    assert found == [
        *(("ServiceMonitor", pool.settings.namespace) for pool in POOLS),
        ("PrometheusRule", POOLS[0].settings.namespace),
    ]
