"""Drift asks a server only what loads nothing, and understands what it answers."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.cluster.environment import KubeTarget
from ops.commands.drift import server
from ops.commands.drift.declared import Declared, declared_of
from ops.commands.drift.difference import Look
from ops.commands.drift.server import is_service, look, nobody_serves
from ops.endpoint.client import CHAT
from ops.endpoint.errors import CheckError
from tests.conftest import Synth
from tests.declaration.frozen import DECLARATION
from tests.declaration.settings import SETTINGS
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Reply, Request, always, refuse
from tests.ops.commands.smoke.smoke_runs import KEYED


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.fixture(scope="module")
def of_router(synth: Synth, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    settings = replace(SETTINGS, front_end="llama-server")
    document = synth(front_end="llama-server")
    return declared_of(
        settings, DECLARATION, document, directory=tmp_path_factory.mktemp("router")
    )


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server", "gateway"])
@pytest.mark.parametrize("loaded", [None, "qwen3vl-4b"])
def test_nothing_is_asked_that_could_load_a_model(
    declared: Declared, front_end: str, loaded: str | None
) -> None:
    with FakeEndpoint(front_end=front_end, loaded=loaded) as fake:
        look(declared, fake.url, target=None)
    # A model's log loads nothing: tests/real/drift/test_server.py.
    logs = f"/logs/stream/{loaded}"
    # The question about the key names a model that does not exist.
    assert set(fake.paths) <= {"/v1/models", "/running", "/props", logs, CHAT}
    assert fake.asked == []
    assert fake.swaps == []


def scheduled(status: str, message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": status, "message": message}
    return {"status": {"conditions": [condition]}}


WAITING = scheduled("False", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
LOST = scheduled("False", "0/1 nodes are available: 1 node(s) were unschedulable.")
RUNNING = scheduled("True", "")


@pytest.mark.parametrize(
    ("replicas", "pods", "reason"),
    [
        (0, [], "the Deployment llama-swap has 0 replicas"),
        (1, [WAITING], "the pod waits for the GPU (0/1 nodes are available: 1 Insufficient"),
        (1, [LOST], ""),
        (1, [RUNNING], ""),
        (1, [RUNNING, WAITING], ""),
        (1, [], ""),
        (1, [{"status": {}}], ""),
    ],
)
def test_no_pod_has_to_serve_while_a_tenant_has_the_gpu(
    replicas: int, pods: list[dict[str, Any]], reason: str
) -> None:
    answer = nobody_serves({"spec": {"replicas": replicas}}, pods, resource="nvidia.com/gpu")
    assert answer.startswith(reason)
    assert bool(answer) == bool(reason)


def test_the_clusters_own_service_is_known_by_its_name(declared: Declared) -> None:
    for host in ("llama-swap.llama-cpp", "llama-swap.llama-cpp.svc.cluster.local:8080"):
        assert is_service(declared, f"http://{host}")
    for host in ("127.0.0.1:8080", "gateway.litellm.svc:4000", "llama-swap.example.org"):
        assert not is_service(declared, f"http://{host}/v1")


@pytest.mark.parametrize(
    ("info", "expected"),
    [("b10999-0a1b2c3", ["b10999"]), ("b10524-0a1b2c3", []), ("b0-unknown", [])],
)
def test_the_routers_build_is_compared(
    of_router: Declared, info: str, expected: list[str]
) -> None:
    props = fakes.always(Reply(body=json.dumps({"role": "router", "build_info": info})))
    with FakeEndpoint(front_end="llama-server", faults={"/props": props}) as fake:
        seen = look(of_router, fake.url, target=None)
    builds = [finding for finding in seen.findings if finding.field == "engine build"]
    assert [finding.found.text for finding in builds] == expected
    assert [finding.declared.text for finding in builds] == ["b10524"] * len(expected)
    assert ("the engine does not report its build" in seen.notes) == (info == "b0-unknown")


def test_other_flags_and_ttl_of_a_running_model_differ(declared: Declared) -> None:
    cmd = "env -C /models/qwen3vl-4b /app/llama-server --host 0.0.0.0 --port 1 'it''s"
    entry = {"model": "qwen3vl-4b", "state": "ready", "cmd": cmd, "ttl": 5}
    running = fakes.always(Reply(body=json.dumps({"running": [entry]})))
    with FakeEndpoint(faults={"/running": running}) as fake:
        seen = look(declared, fake.url, target=None)
    fields = {
        finding.field: (finding.found.text, finding.declared.text) for finding in seen.findings
    }
    assert fields["--host"][1] == "127.0.0.1"
    assert fields["--ctx-size"] == ("not set", "3072")
    assert fields["ttl"] == ("5", "600")
    assert "--port" not in fields


PRODUCTION_CMD = "env -C /models/qwen3vl-4b /app/llama-server --device CUDA0 -ngl 99"


def running(cmd: str) -> Reply:
    entry = {"model": "qwen3vl-4b", "state": "ready", "cmd": cmd}
    return Reply(body=json.dumps({"running": [entry]}))


def of_device(declared: Declared, cmd: str, log: Reply) -> tuple[list[tuple[str, str]], str]:
    """The differences of the device, and the note about it."""
    faults = {"/running": fakes.always(running(cmd)), "log": fakes.always(log)}
    with FakeEndpoint(faults=faults) as fake:
        seen = look(declared, fake.url, target=None)
    differences = [
        (finding.found.text, finding.declared.text)
        for finding in seen.findings
        if finding.field in ("device", "--device", "engine build")
    ]
    return differences, " ".join(note for note in seen.notes if "qwen3vl-4b" in note)


def test_the_device_of_a_loaded_model_is_a_note(declared: Declared) -> None:
    seen = of_device(declared, PRODUCTION_CMD, fakes.load_log("CPU", "CUDA0"))
    assert seen == ([], "qwen3vl-4b runs on CUDA0")


def test_another_build_in_the_log_than_the_declared_one_differs(declared: Declared) -> None:
    line = "common_params_print_info: build {} (afcda09d1) with GNU 11.4.0\n"
    load = fakes.load_log("CPU", "CUDA0")
    old = replace(load, body=f"{line.format(10523)}{load.body}")
    assert of_device(declared, PRODUCTION_CMD, old)[0] == [("b10523", "b10524")]
    now = replace(load, body=f"{line.format(10524)}{load.body}")
    assert of_device(declared, PRODUCTION_CMD, now) == ([], "qwen3vl-4b runs on CUDA0, b10524")


def test_the_cpu_where_a_gpu_is_declared_differs(declared: Declared) -> None:
    without = PRODUCTION_CMD.replace("--device CUDA0 ", "")
    log = fakes.load_log("CPU_Mapped")
    assert of_device(declared, without, log) == (
        [("not set", "CUDA0"), ("CPU", "CUDA0")], ""
    )  # fmt: skip


def test_a_device_that_the_log_does_not_name_is_not_known(declared: Declared) -> None:
    quiet = Reply(body="srv    load_model: loading model 'x'\n", media_type="text/plain")
    differences, note = of_device(declared, PRODUCTION_CMD, quiet)
    assert differences == []
    assert note == (
        "the device of qwen3vl-4b is not known: its log does not name the device: the "
        "model still loads, or llama_swap.server.log_verbosity is below 4; it was started with "
        "--device CUDA0, and llama-server ends where that is missing"
    )


def test_another_machines_llama_server_may_choose_its_device(declared: Declared) -> None:
    cmd = "env -C /home/ann/models/qwen3vl-4b /home/ann/llama-server -ngl 99"
    assert of_device(declared, cmd, fakes.load_log("CPU")) == ([], "qwen3vl-4b runs on CPU")


def test_another_machines_llama_server_obeys_its_command_line(declared: Declared) -> None:
    cmd = "env -C /home/ann/models/qwen3vl-4b /home/ann/llama-server --device CUDA1"
    assert of_device(declared, cmd, fakes.load_log("CPU"))[0] == [("CPU", "CUDA1")]


@pytest.mark.parametrize(
    ("key", "message"), [("", "asks for a key"), ("wrong", "refuses the key")]
)
def test_a_missing_or_wrong_key_is_an_error(
    declared: Declared, monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", key)
    with FakeEndpoint(key="right") as fake, pytest.raises(CheckError, match=message):
        look(declared, fake.url, target=None)


@pytest.fixture(scope="module")
def keyed(declared: Declared) -> Declared:
    return replace(declared, settings=KEYED)


def of_key(seen: Look) -> list[tuple[str, str]]:
    return [
        (finding.found.text, finding.declared.text)
        for finding in seen.findings
        if finding.field == "key"
    ]


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server", "gateway"])
@pytest.mark.parametrize("key", ["", "s3cret"])
def test_a_declared_key_that_is_not_required_differs(
    keyed: Declared, monkeypatch: pytest.MonkeyPatch, front_end: str, key: str
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", key)
    with FakeEndpoint(front_end=front_end) as fake:
        assert of_key(look(keyed, fake.url, target=None)) == [("not needed", "needed")]


def test_a_declared_key_that_is_required_does_not_differ(
    keyed: Declared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "right")
    with FakeEndpoint(key="right") as fake:
        assert of_key(look(keyed, fake.url, target=None)) == []


def test_a_key_that_need_not_be_right_differs(
    keyed: Declared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "right")

    def any_key(request: Request) -> Reply:
        return refuse(404 if request.headers["Authorization"] else 401, "x")

    with FakeEndpoint(key="right", faults={CHAT: any_key}) as fake:
        assert of_key(look(keyed, fake.url, target=None)) == [("any", "needed")]


@pytest.mark.parametrize("status", [302, 404, 429, 503])
def test_an_answer_that_does_not_show_the_key_is_an_error(
    keyed: Declared, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "right")
    with (
        FakeEndpoint(key="right", faults={CHAT: always(refuse(status, "x"))}) as fake,
        pytest.raises(CheckError, match=r"cannot tell whether|asks for a key, and POST"),
    ):
        look(keyed, fake.url, target=None)


@pytest.mark.parametrize(
    ("front_end", "expected"),
    [
        ("llama-swap", [("needed", "not needed")]),
        ("llama-server", [("needed", "not needed")]),
        ("gateway", []),
    ],
)
def test_an_undeclared_key_differs_unless_a_gateway_requires_it(
    declared: Declared,
    monkeypatch: pytest.MonkeyPatch,
    front_end: str,
    expected: list[tuple[str, str]],
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "right")
    with FakeEndpoint(key="right", front_end=front_end) as fake:
        assert of_key(look(declared, fake.url, target=None)) == expected


def test_an_undeclared_key_is_named_if_none_is_set(declared: Declared) -> None:
    message = "asks for a key, and stacks/production.py declares none; set LLAMA_API_KEY"
    with FakeEndpoint(key="right") as fake, pytest.raises(CheckError, match=message):
        look(declared, fake.url, target=None)


@pytest.mark.parametrize("own", [True, False])
def test_only_the_clusters_own_service_has_to_be_a_front_end(
    declared: Declared, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    with FakeEndpoint(front_end="gateway") as fake:
        if own:
            monkeypatch.setattr(server, "way_to", lambda *_: (nullcontext(fake.url), None))
            target = KubeTarget(config_path=Path("unused"), context="unused")
            seen = look(declared, None, target=target)
        else:
            seen = look(declared, fake.url, target=None)
    differences = [
        (finding.field, finding.found.text, finding.declared.text) for finding in seen.findings
    ]
    assert differences == ([("front_end", "neither", "llama-swap")] if own else [])


@pytest.mark.parametrize("front_end", ["llama-swap", "llama-server"])
def test_a_running_model_without_flags_is_an_error(
    declared: Declared, of_router: Declared, front_end: str
) -> None:
    model = "qwen3vl-4b"
    bodies = {
        "/running": {"running": [{"model": model, "state": "ready"}]},
        "/v1/models": {"data": [{"id": model, "status": {"value": "loaded"}}]},
    }
    path = "/running" if front_end == "llama-swap" else "/v1/models"
    faults = {path: fakes.always(Reply(body=json.dumps(bodies[path])))}
    of_tree = declared if front_end == "llama-swap" else of_router
    with (
        FakeEndpoint(front_end=front_end, faults=faults) as fake,
        pytest.raises(CheckError, match="its flags cannot be compared"),
    ):
        look(of_tree, fake.url, target=None)


@pytest.mark.parametrize(
    "reply", [fakes.HTML, Reply(body="[]"), Reply(body='{"data": 3}'), fakes.refuse(500, "no")]
)
def test_an_answer_that_is_not_an_endpoints_is_an_error(declared: Declared, reply: Reply) -> None:
    fault = {"/v1/models": fakes.always(reply)}
    with FakeEndpoint(faults=fault) as fake, pytest.raises(CheckError):
        look(declared, fake.url, target=None)


def test_a_service_that_does_not_answer_names_who_may_connect(
    declared: Declared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly run in a pod whose namespace the NetworkPolicy does not admit."""
    monkeypatch.setattr(server, "way_to", lambda *_: (nullcontext("unused"), None))
    target = KubeTarget(config_path=Path("unused"), context="unused")
    with pytest.raises(CheckError) as caught:
        look(declared, "http://127.0.0.1:1", target=target)
    assert str(caught.value).endswith(
        "; of pods the NetworkPolicy admits only those of the namespaces photo-poster, "
        "home-assistant, n8n, monitoring. Add this one to monitoring_namespaces in "
        "stacks/production.py"
    )


def test_a_model_over_two_cards_that_is_on_one_differs(declared: Declared) -> None:
    models = tuple(
        replace(model, cards=(0, 1)) if model.id == "qwen3vl-4b" else model
        for model in declared.models
    )
    split = replace(declared, models=models)
    log = fakes.load_log("CPU", "CUDA0")
    assert of_device(split, PRODUCTION_CMD, log)[0] == [("CUDA0", "CUDA0,CUDA1")]
    both = fakes.load_log("CPU", "CUDA0", "CUDA1")
    assert of_device(split, PRODUCTION_CMD, both) == ([], "qwen3vl-4b runs on CUDA0,CUDA1")
