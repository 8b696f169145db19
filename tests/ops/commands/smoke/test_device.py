"""The device of each model in `smoke`, as its log tells it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llama_swap_config.front_ends.front_end import Started
from llama_swap_config.front_ends.server_command import ServerSettings, own_device
from ops.cli import main
from ops.endpoint.device import declared, of_log
from ops.endpoint.errors import CheckError
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Reply
from tests.ops.commands.smoke.smoke_runs import IDS, ask, fails, report

A, B, C = IDS


def log(text: str) -> fakes.Fault:
    return fakes.always(Reply(body=text, media_type="text/plain"))


def devices(fake: FakeEndpoint) -> list[tuple[str, str]]:
    result, _ = ask(fake)
    return [
        (check.outcome, check.note or check.reason)
        for check in result.checks
        if check.name == "device"
    ]


def test_smoke_shows_the_device_of_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint() as fake:
        assert main(["smoke", "--url", fake.url]) == 0
    shown = capsys.readouterr().out
    _, _, block = shown.partition("Devices\n")
    assert block.split() == [A, "CUDA0", B, "CUDA0", C, "CUDA0"]


def test_the_cpu_where_a_gpu_is_declared_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    faults = {"log": fakes.always(fakes.load_log("CPU", "CPU_Mapped", "CUDA_Host"))}
    with FakeEndpoint(faults=faults) as fake:
        line = fails(capsys, fake.url)
        checks = report(capsys, fake.url)["checks"]
    assert line == (
        f"error: {A}: device: the model runs on CPU; expected CUDA0. Check "
        "llama_swap.server.device, gpu.runtime_class and the node's driver"
    )
    of_device = [check["outcome"] for check in checks if check["name"] == "device"]
    assert of_device == ["failed"] * 3


def test_a_projector_on_the_cpu_is_a_failure_unless_a_flag_puts_it_there() -> None:
    reply = fakes.load_log("CPU", "CUDA0")
    text = f"{reply.body}0.00.122.614 I clip_ctx: CLIP using CPU backend\n"
    with FakeEndpoint(faults={"log": log(text)}) as fake:
        outcome, reason = devices(fake)[0]
    assert outcome == "failed"
    assert reason.startswith("the model runs on CPU,CUDA0; expected CUDA0.")
    words = ("/app/llama-server", "--device", "CUDA0", "--no-mmproj-offload")
    started = Started(model=A, words=words, is_loaded=True)
    assert declared(started, ServerSettings()) == frozenset({"CPU", "CUDA0"})


@pytest.mark.parametrize(
    "line",
    [
        "0.00.047.566 I common_params_print_info: build 9284 (afcda09d1) with GNU 11.4.0\n",
        "0.00.001.944 I cmn  common_param: common_params_print_info: build 9284 (unknown) with\n",
    ],
)
def test_another_build_than_the_declared_one_is_a_failure(line: str) -> None:
    text = f"{line}{fakes.load_log('CPU', 'CUDA0').body}"
    with FakeEndpoint(faults={"log": log(text)}) as fake:
        outcome, reason = devices(fake)[0]
    assert outcome == "failed"
    assert reason.startswith("the model runs on llama.cpp b9284; expected b10524. Declare the")


def test_the_build_of_the_latest_load_counts() -> None:
    line = "common_params_print_info: build {} (afcda09d1) with GNU 11.4.0\n"
    load = fakes.load_log("CPU", "CUDA0").body
    text = f"{line.format(9284)}{load}{line.format(10524)}{load}"
    with FakeEndpoint(faults={"log": log(text)}) as fake:
        assert devices(fake)[0] == ("ok", "CUDA0, b10524")
    assert of_log(f"{line.format(0)}{load}").build is None


def test_another_gpu_than_the_declared_one_is_a_failure() -> None:
    faults = {"log": fakes.always(fakes.load_log("CPU", "CUDA1"))}
    with FakeEndpoint(faults=faults) as fake:
        assert devices(fake)[0][0] == "failed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I slot release: id 0\n", "its log no longer reaches back to the load"),
        (
            "srv    load_model: loading model 'x'\nI srv  llama_server: model loaded\n",
            "its log does not name the device: the model still loads, or "
            "llama_swap.server.log_verbosity is below 4",
        ),
    ],
)
def test_a_log_without_the_device_is_not_known_and_never_ok(
    text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeEndpoint(faults={"log": log(text)}) as fake:
        assert devices(fake) == [("not known", reason)] * 3
        assert main(["smoke", "--url", fake.url]) == 0
    assert f"{A}    not known: {reason}" in capsys.readouterr().out


def test_a_log_that_is_refused_is_not_known() -> None:
    with FakeEndpoint(faults={"log": fakes.always(fakes.refuse(400, "invalid"))}) as fake:
        assert devices(fake)[0] == ("not known", "its log cannot be read: status 400")


@pytest.mark.parametrize(
    ("front_end", "reason"),
    [
        ("llama-server", "llama-server's router has no address for a model's log"),
        ("gateway", "the endpoint is neither front end, so it has no log"),
    ],
)
def test_an_endpoint_without_a_log_is_not_known(front_end: str, reason: str) -> None:
    with FakeEndpoint(front_end=front_end) as fake:
        outcome, why = devices(fake)[0]
    assert outcome == "not known"
    assert why.startswith(reason)


def test_a_missing_device_is_named_as_the_reason_of_a_failed_load() -> None:
    faults = {
        f"{A} load": fakes.always(fakes.refuse(500, "upstream command exited prematurely")),
        "log": log('error while handling argument "--device": invalid device: CUDA0\n'),
    }
    with FakeEndpoint(faults=faults) as fake:
        result, _ = ask(fake, REGISTRY[:1], REGISTRY)
    failed = [check for check in result.failed if check.model == A]
    assert [check.name for check in failed] == ["text", "device"]
    assert "it finds no device CUDA0" in failed[1].reason


def test_only_the_latest_load_counts() -> None:
    older = fakes.load_log("CPU").body
    assert of_log(older + fakes.load_log("CUDA0").body).names == frozenset({"CUDA0"})
    refused = 'error while handling argument "--device": invalid device: CUDA0\n'
    assert of_log(refused + older).names == frozenset({"CPU"})
    with pytest.raises(CheckError, match="no device CUDA0"):
        of_log(older + refused)


CUDA_LOG = """\
0.00.003.134 I srv    load_model: loading model 'model.gguf'
0.00.324.652 I load_tensors: offloading 12 repeating layers to GPU
0.00.324.660 I load_tensors: offloading output layer to GPU
0.00.324.661 I load_tensors: offloaded 13/13 layers to GPU
0.00.324.665 I load_tensors:        CUDA0 model buffer size =    40.73 MiB
0.00.324.666 I load_tensors:   CPU_Mapped model buffer size =    23.11 MiB
"""
"""Of load_tensors: llama.cpp's own tests on a Tesla V100, in github.com/ggml-org/ci."""


def test_the_log_of_a_gpu_names_it() -> None:
    assert of_log(CUDA_LOG).names == frozenset({"CUDA0"})


def test_the_layers_that_a_log_calls_offloaded_are_no_proof_of_a_gpu() -> None:
    """A llama-server built with RPC writes this line on the CPU (b11434)."""
    on_cpu = "".join(line for line in CUDA_LOG.splitlines(True) if "CUDA0" not in line)
    assert "offloaded 13/13 layers to GPU" in on_cpu
    assert of_log(on_cpu).names == frozenset({"CPU"})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ServerSettings(), frozenset({"CUDA0"})),
        (ServerSettings(device="CUDA0,CUDA1"), frozenset({"CUDA0", "CUDA1"})),
        (ServerSettings(device="none"), frozenset({"CPU"})),
        (ServerSettings(gpu_layers=0), None),
        (ServerSettings(device=None), None),
    ],
)
def test_the_declared_devices(settings: ServerSettings, expected: frozenset[str] | None) -> None:
    assert settings.devices == expected


def test_a_cpu_that_is_declared_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ServerSettings(device="none")
    settings = replace(SETTINGS, llama_swap=replace(SETTINGS.llama_swap, server=server))
    monkeypatch.setattr("stacks.production.PRODUCTION", settings)
    with FakeEndpoint(faults={"log": fakes.always(fakes.load_log("CPU"))}) as fake:
        assert main(["smoke", "--url", fake.url]) == 0


def test_a_model_has_to_be_on_its_own_cards() -> None:
    """llama-swap shows it no others, which it counts from 0."""
    models = (REGISTRY[0], replace(REGISTRY[1], cards=(1,)), replace(REGISTRY[2], cards=(1, 0)))
    with FakeEndpoint() as fake:
        result, _ = ask(fake, models)
    found = [(it.outcome, it.reason) for it in result.checks if it.name == "device"]
    assert [outcome for outcome, _ in found] == ["ok", "ok", "failed"]
    assert found[2][1].startswith("the model runs on CUDA0; expected CUDA0,CUDA1.")


@pytest.mark.parametrize(
    ("cards", "isolated", "device"),
    [
        ((0,), True, "CUDA0"),
        ((0,), False, "CUDA0"),
        ((2,), True, "CUDA0"),
        ((2,), False, "CUDA2"),
        ((2, 0), True, "CUDA0,CUDA1"),
        ((2, 0), False, "CUDA2,CUDA0"),
    ],
)
def test_the_device_of_a_models_cards(cards: tuple[int, ...], isolated: bool, device: str) -> None:
    model = replace(REGISTRY[0], cards=cards)
    assert own_device(model, ServerSettings(), isolated=isolated) == device
    for other in (None, "none", "CUDA0,CUDA1"):
        elsewhere = ServerSettings(device=other)
        assert own_device(model, elsewhere, isolated=isolated) == other
