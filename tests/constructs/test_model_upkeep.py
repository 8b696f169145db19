"""The CronJob that verifies and prunes the volume."""

from __future__ import annotations

import copy
from typing import Any

from tests.conftest import Synth
from tests.constructs.synthesized import resources
from tests.declaration.settings import BARE

Json = dict[str, Any]


def test_the_cron_job_verifies_and_prunes_with_the_present_plan(
    deployed: dict[str, Json],
) -> None:
    cron = copy.deepcopy(deployed["cron_job_v1.model-upkeep"]["spec"])
    pod = cron["job_template"]["spec"]["template"]["spec"]
    (container,) = pod["container"]
    assert cron["concurrency_policy"] == "Forbid"
    assert cron["job_template"]["spec"]["active_deadline_seconds"] == 6 * 3600
    assert cron["job_template"]["spec"]["ttl_seconds_after_finished"] == str(7 * 24 * 3600)
    assert container["args"][4:] == [
        *("--verify", "--quarantine", "--rate-mb-s", "40", "--prune", "--grace-h", "168")
    ]
    job = deployed["job_v1.model-download"]["spec"]
    del container["args"][4:]
    assert pod == job["template"]["spec"]
    assert cron["job_template"]["spec"]["pod_failure_policy"] == job["pod_failure_policy"]
    name = deployed["config_map_v1.model-download"]["metadata"]["name"]
    assert [
        volume["config_map"]["name"] for volume in pod["volume"] if "config_map" in volume
    ] == [name]


def test_upkeep_is_off_by_default(synth: Synth) -> None:
    assert "cron_job_v1.model-upkeep" not in resources(synth(upkeep=None))
    assert BARE.upkeep is None
