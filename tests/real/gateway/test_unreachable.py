"""The endpoint does not answer: within two seconds the 503 says why, as far as anybody knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.commands.serve.run import Served
from ops.machine.ports import usable_port
from tests.real.gateway.gateway import Gateway, consumer, gateway_before, model
from tests.real.gateway.played_exporter import PlayedExporter, played_exporter
from tests.real.gateway.refusals import refusal
from tests.real.serve.served import store_of

ML = "immich/immich-machine-learning"
MODELS = (model("photos", projector=None, image_max_tokens=None),)


@pytest.fixture(scope="module")
def exporter() -> Iterator[PlayedExporter]:
    with played_exporter() as playing:
        yield playing


@pytest.fixture(scope="module")
def running(
    exporter: PlayedExporter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("unreachable")
    nobody = Served(
        url=f"http://127.0.0.1:{usable_port(None)}",
        front_end="llama-server",
        models=("photos",),
        pid=0,
        log=Path("/dev/null"),
        key=None,
    )
    with gateway_before(
        nobody,
        store_of(MODELS, folder / "locked").models,
        (consumer("poster", "photos"),),
        folder / "gateway",
        tenants=(ML,),
        state_url=exporter.url,
    ) as started:
        yield started


@pytest.mark.parametrize(
    ("state", "holder", "retry_after_s"),
    [
        (None, f"outside a window {ML} has the card", 15),
        ({"state": "waits", "has_card": True}, f"{ML} has the card; no window is open", 15),
        (
            {"state": "warming", "reason": "reads 6.2 GB", "ready_in_s": 41.5},
            "it warms up: reads 6.2 GB; ready in about 42 s",
            42,
        ),
        (
            {"state": "failed", "reason": "ImagePullBackOff"},
            "it failed: ImagePullBackOff",
            15,
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completion"])
def test_an_endpoint_that_does_not_answer_is_explained(
    running: Gateway,
    exporter: PlayedExporter,
    path: str,
    state: dict[str, Any] | None,
    holder: str,
    retry_after_s: int,
) -> None:
    exporter.said = None
    if state:
        exporter.say(tenant=ML, **state)
    body = {"model": "photos", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi"}
    with running.client("poster") as client:
        began = time.monotonic()
        answer = client.post(path, json={**body, "stream": True})
        assert time.monotonic() < began + 2
    error = refusal(answer)
    assert error["code"] == "endpoint_unreachable"
    assert error["holder"] == holder
    assert int(answer.headers["retry-after"]) == retry_after_s
    assert "the endpoint does not answer" in error["message"]
