"""A mistake in registry, consumers, settings or lock is one line in each command that reads them.

The other commands run as if it were not there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llama_swap_config
import stacks
from llama_swap_config import consumers, registry
from ops.cli import COMMANDS, main
from stacks import production
from tests.conftest import ROOT
from tests.fakes.api_server import kubeconfig

REGISTRY = "llama_swap_config/registry.py"
SETTINGS = "stacks/production.py"
LOCK = "llama_swap_config/models.lock.json"
CONSUMERS = "llama_swap_config/consumers.py"
WRONG: dict[str, tuple[str, str, str]] = {
    "a syntax error in the registry": (
        REGISTRY,
        "REGISTRY = (",
        f"{REGISTRY}, line 1: `REGISTRY = (`: '(' was never closed. Correct it, or restore it fr",
    ),
    "an unknown field": (
        REGISTRY,
        "from llama_swap_config.model import Model\nModel(id='a', contxt=1)",
        "model 'a': contxt is 1; expected a field of Model. Did you mean context?",
    ),
    "an unknown name in the settings": (
        SETTINGS,
        "import stacks.settings\nPRODUCTION = Settings()",
        f"{SETTINGS}, line 2: `PRODUCTION = Settings()`: NameError: name 'Settings' is not def",
    ),
    "a class that is not there": (
        SETTINGS,
        "from llama_swap_config.cluster.sharing import ByWindows",
        f"{SETTINGS}, line 1: `from llama_swap_config.cluster.sharing import ByWindows`: ImportEr",
    ),
    "an error of its own": (SETTINGS, "raise OSError('no\\nidea')", f"{SETTINGS}, line 1: `raise"),
    "a dict of settings": (
        SETTINGS,
        "PRODUCTION = {}",
        f"settings: PRODUCTION is {{}}; expected Settings(...). Correct it in {SETTINGS}.",
    ),
    "a consumer that is no tuple": (
        CONSUMERS,
        "CONSUMERS = None",
        "consumers: CONSUMERS is None; expected a tuple of Consumer(...). Correct it in "
        f"{CONSUMERS}.",
    ),
    "a consumer of an unknown model": (
        CONSUMERS,
        "from llama_swap_config.gateway.consumer import Consumer\n"
        "CONSUMERS = (Consumer(name='a', namespace='a', models=('gone',)),)",
        "consumer 'a': models is 'gone'; expected an id of the registry: ",
    ),
    "half a lock": (LOCK, '{"version": 3, ', "models.lock.json is not complete JSON ("),
    "a lock of nothing": (LOCK, "[]", "models.lock.json: content is []; expected an object"),
}
READ: dict[str, tuple[str, ...]] = {
    "up --state-dir state": (REGISTRY, SETTINGS, LOCK, CONSUMERS),
    "serve --state-dir state": (REGISTRY, SETTINGS, LOCK, CONSUMERS),
    "lock --check": (REGISTRY, LOCK),
    "hub": (REGISTRY,),
    "fit": (REGISTRY, SETTINGS, LOCK, CONSUMERS),
    "smoke --url http://127.0.0.1:9": (REGISTRY, SETTINGS),
    "drift": (SETTINGS,),
    "window": (SETTINGS,),
    "window --restore": (SETTINGS,),
    "deploy --yes": (SETTINGS,),
    "adopt --yes": (SETTINGS,),
    "doctor --cluster": (SETTINGS,),
    "weights status .": (REGISTRY, LOCK),
    "weights pull models": (REGISTRY, LOCK),
    "bench .": (REGISTRY, SETTINGS, LOCK),
    "gateway keys --dir keys": (REGISTRY, CONSUMERS),
    "gateway files --out files": (SETTINGS,),
    "status": (SETTINGS,),
}
"""Command -> the files that it reads itself. `plan`, `manifests` and `drift` print the line of
main.py, which reads all."""
MISTAKES = [
    (command, name) for command, files in READ.items() for name in WRONG if WRONG[name][0] in files
]
READ_NONE = (
    "--help",
    "doctor",
    "down --state-dir state",
    "env --state-dir state",
    "cache",
    *(f"{name} --help" for name in COMMANDS),
)

FILES = (REGISTRY, SETTINGS, LOCK, CONSUMERS)
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Replace one of the files of the tree under test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBE_CONFIG_PATH", str(kubeconfig(tmp_path, "http://127.0.0.1:9")))
    monkeypatch.setenv("KUBE_CTX", "home")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    texts = {path: (ROOT / path).read_bytes() for path in FILES}
    packages = {registry: llama_swap_config, consumers: llama_swap_config, production: stacks}
    for module, package in packages.items():
        # An import sets both; the other tests get back the modules that they know.
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(package, module.__name__.rpartition(".")[2], module)

    def write(path: str, text: str) -> None:
        (ROOT / path).write_text(f"{text}\n")
        for module in packages:
            sys.modules.pop(module.__name__, None)

    yield write
    for path, content in texts.items():
        (ROOT / path).write_bytes(content)


@pytest.mark.parametrize(("command", "mistake"), MISTAKES)
def test_a_mistake_is_one_line(
    command: str, mistake: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text, line = WRONG[mistake]
    write(path, text)
    assert main(command.split()) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {line}")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", READ_NONE)
def test_a_command_that_reads_none_runs(
    command: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> tuple[int, str]:
        return main(command.split()), capsys.readouterr().err

    before = run()
    for path in FILES:
        write(path, "(")
    assert run() == before


def test_no_command_reads_them_when_it_is_imported(write: Write) -> None:
    """In a process of its own: this one has imported the commands already."""
    for path in FILES:
        write(path, "(")
    program = "from ops.cli import COMMANDS, load\nfor name in COMMANDS:\n    load(name)"
    result = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", ["window --restore", "window --status"])
def test_a_window_needs_no_registry(
    command: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (REGISTRY, LOCK):
        write(path, "(")
    assert main(command.split()) == 1
    assert "the API server of KUBE_CTX 'home' does not answer" in capsys.readouterr().err


def test_the_traceback_is_shown_only_on_request(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(SETTINGS, "1 / 0")
    assert main(["--debug", "fit"]) == 1
    error = capsys.readouterr().err
    assert "Traceback (most recent call last):" in error
    assert error.splitlines()[-1] == (
        f"error: {SETTINGS}, line 1: `1 / 0`: ZeroDivisionError: division by zero. Correct it, or "
        "restore it from git."
    )


def test_every_command_is_tried() -> None:
    tried = {words.split()[0] for words in (*READ, *READ_NONE[:5])}
    assert tried == {*COMMANDS, "--help"} - {"plan", "manifests"}
