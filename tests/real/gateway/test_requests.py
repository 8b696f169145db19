"""A request on its way: its model, pictures and limits, browsers, and a client that leaves."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import OpenAI, RateLimitError
from PIL import Image

from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.gateway.settings import Pictures
from ops.endpoint.pictures import data_uri, solid_picture
from tests.real.gateway.gateway import Gateway, consumer, gateway, model

ORIGIN = "https://photos.example"
CHAT = "/v1/chat/completions"
MODELS = (
    model("photos", context=8192, aliases=("gpt-4o:x",)),
    model("texts", projector=None, image_max_tokens=None),
)
CONSUMERS = (
    consumer("poster", "photos"),
    consumer("agent", "texts", "photos"),
    consumer("narrow", "photos", parallel_requests=1),
    consumer("slow", "photos", requests_per_minute=3),
    consumer("remote", "photos", remote_images=True),
)


@pytest.fixture(scope="module", params=("llama-server", "llama-swap"))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    front_end: FrontEndName = request.param
    with gateway(
        MODELS,
        CONSUMERS,
        tmp_path_factory.mktemp("gateway"),
        front_end,
        allowed_origins=(ORIGIN,),
        pictures=Pictures(number=2, megabytes=1, megapixels=1),
    ) as started:
        yield started
        assert "Traceback" not in started.log
        assert not any(key in started.log for key in started.keys.values())


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_has_only_the_models_of_the_consumer(running: Gateway, path: str) -> None:
    for name, ids in (("poster", ["photos"]), ("agent", ["texts", "photos"])):
        with running.client(name) as client:
            assert [each["id"] for each in client.get(path).json()["data"]] == ids


def test_a_query_changes_no_list(running: Gateway) -> None:
    with running.client("poster") as client:
        answer = client.get("/v1/models?limit=20&model=texts&return_wildcard_routes=true")
        assert [each["id"] for each in answer.json()["data"]] == ["photos"]


def test_a_model_can_be_looked_up_by_its_alias(running: Gateway) -> None:
    with running.client("poster") as client:
        assert client.get("/v1/models/gpt-4o:x").json()["id"] == "photos"
        assert client.get("/v1/models/texts").status_code == 403
        assert client.get("/v1/models/nope").status_code == 404


def test_chat_answers_by_id_and_alias(running: Gateway) -> None:
    for name in ("photos", "gpt-4o:x"):
        answer = running.chat("poster", name)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "photos"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/completion", {"prompt": "hi", "n_predict": 2}, "content"),
        ("/tokenize", {"content": "hi"}, "tokens"),
        ("/detokenize", {"tokens": [1, 2]}, "content"),
        ("/apply-template", {"messages": [{"role": "user", "content": "hi"}]}, "prompt"),
    ],
)
def test_llama_cpps_own_paths_answer_for_the_consumers_model(
    running: Gateway, path: str, body: dict[str, object], field: str
) -> None:
    with running.client("poster") as client:
        answer = client.post(path, json=body | {"model": "gpt-4o:x"})
        assert answer.status_code == 200, answer.text
        assert field in answer.json()
        refused = client.post(path, json=body | {"model": "texts"})
        assert refused.status_code == 403
        assert client.post(path, json=body).status_code == 400


def picture_bodies(uri: str) -> dict[str, dict[str, Any]]:
    media_type, data = uri.removeprefix("data:").split(";base64,")
    source = {"type": "base64", "media_type": media_type, "data": data}
    text = {"type": "text", "text": "hi"}

    def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [text, *parts]}]

    return {
        CHAT: {
            "max_tokens": 2,
            "messages": user({"type": "image_url", "image_url": {"url": uri}}),
        },
        "/v1/messages": {"max_tokens": 2, "messages": user({"type": "image", "source": source})},
        "/v1/responses": {
            "max_output_tokens": 2,
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": uri}]},
            ],
        },
    }


PICTURE_PATHS = tuple(picture_bodies("data:;base64,"))


@pytest.mark.parametrize("path", PICTURE_PATHS)
def test_a_picture_reaches_the_model_however_it_is_written(running: Gateway, path: str) -> None:
    red = solid_picture("red", size_px=64)
    lines = base64.encodebytes(red).decode()
    assert lines.count("\n") > 1
    text = base64.b64encode(red).decode()
    tokens = []
    with running.client("poster") as client:
        for uri in (
            f"data:image/png;base64,{text}",
            f"data:image/jpeg;base64,{lines}",
            f"data:;base64,{text.replace('+', '-').replace('/', '_').rstrip('=')}",
        ):
            answer = client.post(path, json=picture_bodies(uri)[path] | {"model": "photos"})
            assert answer.status_code == 200, answer.text
            usage = answer.json()["usage"]
            tokens.append(
                usage["prompt_tokens"]
                if "prompt_tokens" in usage
                # Anthropic's counts only those that are not cached.
                else usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
            )
    assert len(set(tokens)) == 1
    # The text alone has fewer than the 16 that a tiny model makes of a picture at least.
    assert tokens[0] > 16


@pytest.mark.parametrize("path", PICTURE_PATHS)
def test_a_picture_is_bounded_on_each_path(running: Gateway, path: str) -> None:
    large = io.BytesIO()
    Image.new("1", (1200, 1000)).save(large, "PNG")
    webp = solid_picture("red", image_format="WEBP")
    for uri, status, word in (
        (data_uri(large.getvalue()), 413, "1200 x 1000 pixels"),
        (data_uri(bytes(1_000_001)), 413, "1,000,001 bytes"),
        (data_uri(webp, "image/webp"), 400, "WEBP"),
    ):
        with running.client("poster") as client:
            answer = client.post(path, json=picture_bodies(uri)[path] | {"model": "photos"})
        assert (answer.status_code, word in answer.text) == (status, True), answer.text
        error = answer.json()["error"]
        assert error["code"] in ("picture_too_large", "picture_format")
        if path == "/v1/messages":
            assert answer.json()["type"] == "error"


def test_an_address_of_a_picture_is_never_passed_on(running: Gateway, web: str) -> None:
    part = {"type": "image_url", "image_url": {"url": f"{web}/red.png"}}
    body = {"model": "photos", "messages": [{"role": "user", "content": [part]}]}
    for name, word in (("poster", "remote_images"), ("remote", "is 127.0.0.1")):
        with running.client(name) as client:
            answer = client.post(CHAT, json=body)
        assert answer.status_code == 403
        assert word in answer.text


@pytest.mark.parametrize("depth", ["content", "a tool's result"])
def test_no_document_reaches_the_endpoint(running: Gateway, web: str, depth: str) -> None:
    """LiteLLM would make a picture of it that nobody bounds, or an address to fetch."""
    red = solid_picture("red", size_px=64)
    for source in (
        {"type": "url", "url": f"{web}/red.png"},
        {"type": "base64", "media_type": "image/png", "data": base64.b64encode(red).decode()},
    ):
        part: dict[str, Any] = {"type": "document", "source": source}
        if depth != "content":
            part = {"type": "tool_result", "tool_use_id": "call_1", "content": [part]}
        body = {
            "model": "photos",
            "max_tokens": 2,
            "messages": [{"role": "user", "content": [part]}],
        }
        with running.client("poster") as client:
            answer = client.post("/v1/messages", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "media_not_served"


def test_requests_at_once_and_a_minute_are_limited(running: Gateway) -> None:
    with OpenAI(
        base_url=f"{running.url}/v1",
        api_key=running.keys["slow"],
        max_retries=0,
        http_client=httpx2.Client(trust_env=False),
    ) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        for _ in range(3):
            client.chat.completions.create(model="photos", messages=messages, max_tokens=1)
        with pytest.raises(RateLimitError) as refused:
            client.chat.completions.create(model="photos", messages=messages, max_tokens=1)
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(running.chat, "narrow", "photos", max_tokens=300) for _ in range(4)]
        answers = [future.result() for future in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "too_many_parallel_requests"
    assert running.chat("narrow", "photos").status_code == 200


def test_a_browser_may_ask_from_a_named_origin_only(running: Gateway) -> None:
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    allowed = "access-control-allow-origin"
    with running.client() as client:
        for origin, status in ((ORIGIN, 200), ("https://evil.example", 400), ("null", 400)):
            answer = client.options(CHAT, headers=preflight | {"origin": origin})
            assert answer.status_code == status
            assert answer.headers.get(allowed) == (origin if status == 200 else None)
            assert "access-control-allow-credentials" not in answer.headers
        refused = client.post(CHAT, json={}, headers={"origin": ORIGIN})
        assert (refused.status_code, refused.headers[allowed]) == (401, ORIGIN)
    with running.client("poster") as client:
        for path in ("/v1/models", "/health/liveliness", "/metrics/"):
            assert client.get(path, headers={"origin": ORIGIN}).headers[allowed] == ORIGIN
            foreign = client.get(path, headers={"origin": "https://evil.example"})
            assert foreign.status_code == 200
            assert allowed not in foreign.headers


LONG: dict[str, Any] = {
    "model": "photos",
    "prompt": "hi",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 4000,
    "n_predict": 4000,
    "ignore_eos": True,
}


@pytest.mark.parametrize("path", [CHAT, "/completion"])
def test_an_answer_is_streamed_and_ends_when_the_client_leaves(
    running: Gateway, path: str
) -> None:
    with running.client("narrow") as client:
        with client.stream("POST", path, json=LONG | {"stream": True}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = (line for line in answer.iter_lines() if line.startswith("data: {"))
            assert json.loads(next(lines).removeprefix("data: "))
            assert not is_complete(running)
    until_nothing_is_in_flight(running)
    assert not is_complete(running)
    # Its one place is free again.
    assert running.chat("narrow", "photos", max_tokens=1).status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/completion"])
def test_a_client_that_leaves_a_whole_answer_ends_it_too(running: Gateway, path: str) -> None:
    # What the last test left must not look like an answer.
    assert running.chat("narrow", "photos", max_tokens=1).status_code == 200
    with running.client("narrow", timeout=0.5) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.post(path, json=LONG)
    until_nothing_is_in_flight(running)
    assert not is_complete(running)


def is_complete(running: Gateway) -> bool:
    """Whether the model's server has written all that it was asked for.

    Each look keeps it from noticing for a second that nobody waits for a whole answer.
    """
    path = "/upstream/photos/slots" if running.served.front_end == "llama-swap" else "/slots"
    slots = httpx2.get(
        f"{running.served.url}{path}", params={"model": "photos"}, trust_env=False, timeout=30
    ).json()
    if any(slot["is_processing"] for slot in slots):
        return False
    # What a slot keeps has the answer too; one that was never used keeps nothing.
    return any(slot.get("n_prompt_tokens", 0) >= LONG["max_tokens"] for slot in slots)


def until_nothing_is_in_flight(running: Gateway) -> None:
    gauge = 'gateway_requests_in_flight{consumer="narrow",model="photos"} 0.0'
    deadline = time.monotonic() + 120
    with running.client() as client:
        while gauge not in client.get("/metrics/").text:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
