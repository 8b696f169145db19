"""`ops hub`: tiny files for the registry's models, and what a lock of them may be used for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llama_swap_config import registry
from llama_swap_config.declaration import Declaration
from llama_swap_config.fit.residency import ONE_AT_A_TIME
from llama_swap_config.lock.file import read_lock
from llama_swap_config.lock.locked import wanted_projector, wanted_weights
from llama_swap_config.lock.stand_in import STAND_IN_COMMIT, is_stand_in
from llama_swap_config.model import Model
from ops.cli import main
from ops.cluster import environment
from ops.cluster.environment import KubeTarget
from ops.commands.deploy import run as deploy
from ops.commands.fit.run import fit
from ops.commands.fit.text import as_json, as_markdown
from ops.commands.hub.run import tiny_hub
from ops.commands.lock.file_choice import choose_file
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from ops.errors import OpsError
from ops.hub.files import find_revision
from ops.hub.local_hub import HubHandler, LocalHub
from ops.machine.ports import free_ports
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS
from tests.ops.commands.lock.lock_runs import (
    FIRST,
    TEXT,
    VISION,
    lock,
    make_files,
    running,
    surroundings,
)

WEIGHTS = (
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M",
    "Q6_K", "Q6_K_L", "Q8_0", "IQ1_S", "IQ2_M", "IQ2_XXS", "IQ3_M", "IQ4_XS", "IQ4_NL", "BF16",
    "F16", "F32", "MXFP4", "MXFP4_MOE", "NVFP4", "UD-Q4_K_XL", "UD-Q4_K_M", "i1-Q4_K_M",
)  # fmt: skip
PROBLEM = f"model 'seeing': revision is '{STAND_IN_COMMIT}'; expected a commit of its repository. "


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    surroundings(monkeypatch, tmp_path / "headers")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with tiny_hub((VISION, TEXT)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def path(hub: LocalHub, tmp_path: Path) -> Path:
    """A lock that was written from the hub."""
    path = tmp_path / "models.lock.json"
    assert lock(path) == 0
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


def test_lock_finds_the_files_of_each_model_and_marks_them(path: Path) -> None:
    found = read_lock(path)
    assert [file.name for file in found["seeing"].files] == [
        "seeing-Q4_K_M.gguf",
        "mmproj-seeing-F16.gguf",
    ]
    assert [file.name for file in found["reading"].files] == ["reading-Q8_0.gguf"]
    assert all(
        file.revision == STAND_IN_COMMIT for entry in found.values() for file in entry.files
    )


def test_one_repository_may_have_every_quantisation() -> None:
    models = [
        Model(id=f"m{index}", repository="owner/All-GGUF", quantisation=quantisation)
        for index, quantisation in enumerate(WEIGHTS)
    ]
    projectors = [
        replace(models[0], id=f"p{index}", projector=projector)
        for index, projector in enumerate(("F16", "BF16", "Q8_0", "F32"))
    ]
    with tiny_hub((*models, *projectors)) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        files = find_revision("owner/All-GGUF", "main").files
    for model in models:
        choose_file(files, wanted_weights(model))
    for model in projectors:
        wanted = wanted_projector(model)
        assert wanted is not None
        choose_file(files, wanted)


def test_a_context_above_that_of_the_other_tiny_models_synthesizes(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(VISION, context=131072)
    monkeypatch.setattr(registry, "REGISTRY", (large,))
    path = tmp_path / "models.lock.json"
    assert lock(path) == 0
    Declaration.of((large,), lock_path=path).residents(SETTINGS.node)


def test_check_refuses_the_lock(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert lock(path, "--check") == 1
    told = capsys.readouterr()
    assert PROBLEM in told.out
    assert told.err == "error: 2 of 2 models are not locked. Run `python -m ops lock`.\n"


def test_a_later_lock_replaces_the_files_by_those_of_the_real_hub(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(make_files(tmp_path / "real"), HubHandler, monkeypatch):
        assert lock(path) == 0
        assert lock(path, "--check") == 0
    assert {file.revision for entry in read_lock(path).values() for file in entry.files} == {FIRST}


def test_a_later_lock_without_a_hub_keeps_them_and_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.read_bytes()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "no answer from 127.0.0.1" in fails(capsys, "lock", "--path", str(path))
    assert path.read_bytes() == before


def test_a_real_commit_never_gets_tiny_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another quantisation of a locked model keeps its commit, which this hub does not have."""
    path = tmp_path / "models.lock.json"
    with running(make_files(tmp_path / "real"), HubHandler, monkeypatch):
        assert lock(path) == 0
    before = path.read_bytes()
    other = replace(VISION, quantisation="Q8_0")
    monkeypatch.setattr(registry, "REGISTRY", (other, TEXT))
    with tiny_hub((other, TEXT)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        line = fails(capsys, "lock", "--path", str(path))
        assert f"the hub resolves {FIRST} to the commit '{STAND_IN_COMMIT}'; --update" in line
        assert path.read_bytes() == before
        assert lock(path, "--update", "--model", "seeing") == 0
    assert is_stand_in(read_lock(path)["seeing"].files)
    assert not is_stand_in(read_lock(path)["reading"].files)


def test_fit_says_that_the_figures_mean_nothing(path: Path) -> None:
    declaration = Declaration.of((VISION, TEXT), lock_path=path)
    answer = fit(declaration.locked, ONE_AT_A_TIME, SETTINGS.node)
    assert [line.startswith("model '") for line in answer.stand_ins] == [True, True]
    assert PROBLEM in as_markdown(answer)
    assert as_json(answer)["stand_ins"] == list(answer.stand_ins)


@pytest.fixture
def target(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubeTarget:
    """A cluster that `deploy` would reach, with the registry and the lock of these tests."""
    target = KubeTarget(config_path=tmp_path / "kubeconfig", context="embedded")
    monkeypatch.setattr(environment, "check_terraform", lambda _say: None)
    monkeypatch.setattr(environment, "check_postgresql", lambda: None)
    monkeypatch.setattr(environment, "check_cluster", lambda: target)
    declaration = Declaration.of((VISION, TEXT), lock_path=path)
    monkeypatch.setattr(deploy, "load", lambda: declaration)
    return target


def test_deploy_refuses_them_before_it_synthesizes(
    target: KubeTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PROBLEM in fails(capsys, "deploy", "--yes")


def test_deploy_takes_them_into_the_embedded_cluster_alone(
    target: KubeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cluster(state_dir: Path) -> EmbeddedCluster:
        return EmbeddedCluster(
            state_dir=state_dir,
            kubeconfig=tmp_path.resolve() / "kubeconfig",
            kube_context="embedded",
            pg_conn_str="",
            endpoint_port=1,
            exporter_port=1,
            kubelet_port=2,
        )

    def synthesize() -> None:
        raise OpsError("it got as far as the synth")

    monkeypatch.setattr(embedded, "find", cluster)
    monkeypatch.setattr(deploy, "synthesize", synthesize)
    assert embedded.is_embedded(target.config_path, target.context)
    assert not embedded.is_embedded(tmp_path / "other", target.context)
    assert not embedded.is_embedded(target.config_path, "home")
    with pytest.raises(OpsError, match="as far as the synth"):
        deploy.deploy(SETTINGS, show=lambda *_: None, approve=lambda: True, wait_s=0, say=print)


def test_a_command_gets_the_address_and_its_exit_code_is_returned(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    program = (
        "import os, sys; print(os.environ.get('HF_TOKEN'), os.environ['HF_ENDPOINT']); exit(7)"
    )
    port = str(free_ports())
    assert main(["hub", "--port", port, "--", sys.executable, "-c", program]) == 7
    told = capfd.readouterr()
    assert told.out == f"None http://127.0.0.1:{port}\n"
    assert "serving tiny files for seeing, reading at" in told.err


def test_sigterm_ends_the_command_too() -> None:
    program = "import time; print('started', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "hub", "--", sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""  # Its end comes only when no process can write.
    assert process.returncode == 128 + signal.SIGTERM


def test_mistakes_are_one_line(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = fails(capsys, "hub", "--port", str(hub.server_port), "--", "true")
    assert f"port {hub.server_port} on 127.0.0.1 is not available" in taken
    missing = fails(capsys, "hub", "--", "no-such-program", "--port", "1")
    assert "COMMAND is 'no-such-program'; expected a program on PATH" in missing
    monkeypatch.setattr(registry, "REGISTRY", (VISION, VISION))
    assert "expected a unique id" in fails(capsys, "hub", "--", "true")
