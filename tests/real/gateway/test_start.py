"""A gateway that cannot check requests does not start, and says why in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llama_swap_config.gateway.litellm import render_litellm
from ops.errors import OpsError
from ops.machine import gateway as gateway_process
from tests.real.gateway.gateway import NO_INTERNET, behind, consumer, model, policy_of
from tests.real.serve.served import store_of

NOWHERE = "http://127.0.0.1:9"


def test_a_gateway_of_another_version_does_not_start(tmp_path: Path) -> None:
    models = store_of((model("photos"),), tmp_path / "store").models
    policy = json.loads(
        policy_of(
            models, (consumer("poster", "photos"),), endpoint_url=NOWHERE, front_end="llama-swap"
        )
    )
    config = render_litellm(models, (behind(NOWHERE, "llama-swap"),))
    with pytest.raises(OpsError, match=r"LiteLLM ended at start-up \(error: LiteLLM is") as failed:
        gateway_process.start(
            tmp_path,
            config=config,
            policy=json.dumps(policy | {"litellm_version": "2.0.1"}),
            keys_dir=tmp_path / "keys",
            env=NO_INTERNET,
            say=print,
        )
    assert "\n" not in str(failed.value)
    assert "Traceback" not in (tmp_path / "gateway" / "logs" / "gateway.log").read_text()
