"""What is read of an engine's log, and engines that hang, grow, end or say something else."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from in_pod.download.contract import LINK_NAMES
from llama_swap_config.model import Model
from ops.engine.promised import Promised, promised
from ops.errors import OpsError

MODEL = Model(id="m", repository="o/m", quantisation="Q4_K_M")
CARD = f"""#!{sys.executable}
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("-p") + 1])))
time.sleep(60)
"""
RPC = "RPC0[127.0.0.1:1]"
PROJECTOR = (
    "0.00.010.000 I srv    load_model: [mtmd] estimated worst-case memory usage of mmproj is "
    "965.55 MiB (took 45.38 ms)\n"
    "0.00.010.000 D srv    load_model: [mtmd] adding 12.06 MiB to fit_params_target for device "
    "CPU\n"
    "0.00.010.000 D srv    load_model: [mtmd] adding 953.49 MiB to fit_params_target for device "
    "RPC0\n"
)
CONTEXT = f"""0.00.010.000 I llama_context: constructing llama_context
0.00.010.000 I load_tensors: {RPC} model buffer size =     0.00 MiB
0.00.010.000 I llama_kv_cache: {RPC} KV buffer size =     0.00 MiB
0.00.010.000 I llama_kv_cache: size =  200.50 MiB (  3072 cells,  5 layers,  1/1 seqs), K
0.00.010.000 I llama_kv_cache: size =   31.25 MiB (  1536 cells, 29 layers,  1/1 seqs), K
0.00.010.000 I llama_memory_recurrent: size =    2.00 MiB (     1 cells,  8 layers), R
0.00.010.000 I sched_reserve: {RPC} compute buffer size =   147.90 MiB
0.00.010.000 I sched_reserve:        CPU compute buffer size =    68.02 MiB
"""
SUMS = (
    "0.00.010.000 I common_memory_breakdown_print: |   - RPC0 (127.0.0.1:1) | 24105 = 24105 + "
    "(2955 =  2375 +     233 +     147) +       -2955 |\n"
)
FITTED = "0.00.010.000 I common_fit_params: fitting params to free memory took 0.17 seconds\n"
WEIGHTS = f"0.00.010.000 I load_tensors: {RPC} model buffer size =  2375.91 MiB\n"
WHOLE = PROJECTOR + CONTEXT + SUMS + FITTED + WEIGHTS


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    program(tmp_path / "ggml-rpc-server", CARD)
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def logs(programs: Path, log: str, *, then: str = "") -> None:
    (programs / "log").write_text(log)
    program(programs / "llama-server", f"#!/bin/sh\ncat {programs}/log\n{then}\n")


def ask(programs: Path, *, whole: bool = True) -> Promised:
    (said,) = promised(programs, MODEL, programs, LINK_NAMES["model"], whole=whole)
    return said


SPLIT = """0.00.010.000 I llama_context: constructing llama_context
0.00.010.000 D llama_kv_cache: layer   0: dev = RPC0
0.00.010.000 D llama_kv_cache: layer   1: dev = RPC0
0.00.010.000 D llama_kv_cache: layer   2: dev = RPC1
0.00.010.000 I llama_kv_cache: size =   300.00 MiB (  3072 cells,  3 layers,  1/1 seqs), K
0.00.010.000 D llama_memory_recurrent, layer   3: dev = RPC1
0.00.010.000 I llama_memory_recurrent: size =    2.50 MiB (     1 cells,  1 layers), R
0.00.010.000 I sched_reserve: RPC0[SECOND] compute buffer size =    90.25 MiB
0.00.010.000 I sched_reserve: RPC0[FIRST] compute buffer size =    98.75 MiB
0.00.010.000 I common_memory_breakdown_print: |   - RPC0 (FIRST) | 9 = 9 + (9 = 70 + 200 + 98) |
0.00.010.000 I common_memory_breakdown_print: |   - RPC1 (SECOND) | 9 = 9 + (9 = 80 + 102 + 90) |
0.00.010.000 I common_fit_params: fitting params to free memory took 0.17 seconds
0.00.010.000 I load_tensors:          CPU model buffer size =     1.00 MiB
0.00.010.000 I load_tensors: RPC0[SECOND] model buffer size =    80.50 MiB
0.00.010.000 I load_tensors: RPC0[FIRST] model buffer size =    70.25 MiB
"""


def ask_split(programs: Path, log: str) -> tuple[Promised, ...]:
    """Ask an engine that logs the addresses of its own two cards."""
    (programs / "log").write_text(log)
    program(
        programs / "llama-server",
        f"#!{sys.executable}\nimport sys, pathlib\n"
        "first, second = sys.argv[sys.argv.index('--rpc') + 1].split(',')\n"
        f"log = pathlib.Path({str(programs / 'log')!r}).read_text()\n"
        "print(log.replace('FIRST', first).replace('SECOND', second))\n",
    )
    model = replace(MODEL, projector=None, image_max_tokens=None, cards=(1, 3))
    return promised(programs, model, programs, LINK_NAMES["model"])


def test_each_card_of_a_split_model_has_its_own_terms(programs: Path) -> None:
    assert ask_split(programs, SPLIT) == (
        Promised(weights=70.25, kv_cache=200, compute=98.75, projector=0),
        Promised(weights=80.5, kv_cache=102.5, compute=90.25, projector=0),
    )


def test_caches_of_layers_that_differ_are_rounded_up(programs: Path) -> None:
    uneven = SPLIT.replace("+ 200 +", "+ 240 +").replace("+ 102 +", "+ 62 +")
    assert [said.kv_cache for said in ask_split(programs, uneven)] == [241, 63]


def test_a_split_model_that_this_machine_cannot_hold_is_rounded_up(programs: Path) -> None:
    unloaded = SPLIT.partition("0.00.010.000 I load_tensors")[0]
    assert [said.weights for said in ask_split(programs, unloaded)] == [71, 81]


def test_a_card_without_layers_takes_no_weights(programs: Path) -> None:
    last = "0.00.010.000 I load_tensors: RPC0[FIRST] model buffer size =    70.25 MiB\n"
    log = SPLIT.replace(last, "0.00.010.000 I load_all_data: done\n")
    assert [said.weights for said in ask_split(programs, log)] == [0, 80.5]


def test_all_caches_count_and_what_stays_on_the_cpu_does_not(programs: Path) -> None:
    logs(programs, WHOLE, then="exec sleep 60")
    assert ask(programs) == Promised(
        weights=2375.91, kv_cache=233.75, compute=147.9, projector=953.49
    )


def test_a_second_attempt_of_the_engine_takes_the_place_of_the_first(programs: Path) -> None:
    first = CONTEXT.replace("200.50", "999.00").replace("147.90", "999.00")
    logs(programs, first + WHOLE, then="exec sleep 60")
    assert ask(programs, whole=False).kv_cache == 233.75


def test_a_model_that_this_machine_cannot_hold_is_rounded_up(programs: Path) -> None:
    logs(programs, WHOLE.replace(WEIGHTS, "0.00.010.000 E alloc_buffer: failed\n"))
    assert ask(programs).weights == 2376


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "llama-server refuses it: it logged no size of the projector"),
        ("Illegal instruction\n", "llama-server refuses it: Illegal instruction"),
        (
            "0.00.01.000 E llama_model_load: error: unknown model architecture: 'x'\n"
            "0.00.01.000 E srv    load_model: failed to load model\n",
            "unknown model architecture: 'x'",
        ),
        (
            "0.00.01.000 E mtmd_get_memory_usage: error: Failed to load CLIP model\n"
            + WHOLE.replace(PROJECTOR, ""),
            "llama-server refuses it: mtmd_get_memory_usage: error: Failed to load CLIP model",
        ),
        (WHOLE.replace("31.25", "90.25"), "logs 292.75 MiB of caches and sums up 233"),
        (WHOLE.replace("llama_memory_recurrent", "llama_other"), "logs 231.75 MiB of caches"),
        (WHOLE.replace("CPU compute", f"{RPC} compute"), "logs 215.92 MiB of compute"),
    ],
)
def test_another_log_is_one_line(programs: Path, log: str, said: str) -> None:
    logs(programs, log)
    with pytest.raises(OpsError) as caught:
        ask(programs)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_that_hangs_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.engine.until._TIMEOUT_S", 0.2)
    logs(programs, PROJECTOR, then="sleep 5")
    with pytest.raises(OpsError, match=r"llama-server takes more than 0\.2 s to read its headers"):
        ask(programs)
    assert not [each for each in psutil.process_iter() if runs_from(programs, each)]


def runs_from(folder: Path, process: psutil.Process) -> bool:
    try:
        return any(word.startswith(str(folder)) for word in process.cmdline())
    except psutil.Error:
        return False


def test_an_engine_that_grows_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.engine.until._MOST_BYTES", 2**27)
    text = f"#!{sys.executable}\nimport time\nheld = b'x' * 2**28\ntime.sleep(60)\n"
    program(programs / "llama-server", text)
    with pytest.raises(OpsError, match="GiB of memory to read its headers"):
        ask(programs)


def test_an_engine_gets_nothing_of_the_operators_environment(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    program(programs / "llama-server", f"#!/bin/sh\nenv > {programs}/env\ncat {programs}/log\n")
    (programs / "log").write_text(WHOLE)
    ask(programs)
    assert "HF_TOKEN" not in (programs / "env").read_text()


def test_a_card_that_never_listens_is_one_line(programs: Path) -> None:
    program(programs / "ggml-rpc-server", "#!/bin/sh\nexit 1\n")
    with pytest.raises(OpsError, match="ggml-rpc-server ended 5 times before it listened"):
        ask(programs)
