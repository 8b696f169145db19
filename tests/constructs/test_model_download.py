"""The Job that fills the volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.plans.download import render_download_plan
from tests.conftest import Synth
from tests.constructs.synthesized import DOWNLOADS, modules, pods, resources, unescaped
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS

Json = dict[str, Any]


def test_the_jobs_name_changes_with_plan_and_image_only(synth: Synth, production: Json) -> None:
    def name(document: Json) -> str:
        name: str = resources(document)["job_v1.model-download"]["metadata"]["name"]
        return name

    another_context = tuple(replace(model, context=4096) for model in REGISTRY)
    assert name(synth(models=another_context)) == name(production)
    assert name(synth(models=REGISTRY[:2])) != name(production)
    assert name(synth(python_image=SETTINGS.llama_swap_image)) != name(production)


def test_the_job_stays_and_does_not_retry_permanent_errors(deployed: dict[str, Json]) -> None:
    spec = deployed["job_v1.model-download"]["spec"]
    assert "ttl_seconds_after_finished" not in spec
    assert spec["template"]["spec"]["restart_policy"] == "Never"
    ignored, failed = spec["pod_failure_policy"]["rule"]
    assert ignored["action"] == "Ignore"
    assert failed["action"] == "FailJob"
    assert failed["on_exit_codes"]["values"] == [28, 65, 77, 78]


def test_the_config_map_has_the_plan_and_the_program(
    deployed: dict[str, Json], locked: tuple[LockedModel, ...]
) -> None:
    data = deployed["config_map_v1.model-download"]["data"]
    assert data["download-plan.json"] == render_download_plan(locked)
    assert unescaped(data) == {"download-plan.json": data["download-plan.json"]} | modules(
        "download"
    )


def test_hub_and_proxy_come_from_the_settings(synth: Synth) -> None:
    document = synth(hf_endpoint="https://mirror.lan/hf", https_proxy="http://proxy.lan:3128")
    for name in DOWNLOADS:
        (container,) = pods(document)[name]["container"]
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert env["HF_ENDPOINT"] == "https://mirror.lan/hf"
        assert env["HTTPS_PROXY"] == "http://proxy.lan:3128"
