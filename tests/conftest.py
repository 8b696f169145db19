"""What the tests share: the locked registry and one synthesized stack."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpcore2
import pytest

from llama_swap_config.declaration import Declaration
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from ops.machine import checkout
from ops.machine.ports import RANGE_VARIABLE
from ops.terraform import synth as ops_synth
from tests.declaration.consumers import CONSUMERS
from tests.declaration.frozen import DECLARATION
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import SETTINGS
from tests.fakes.immich_server import immich_server
from tests.in_pod.download.volume import Source
from tests.ops.commands.bench.immich_world import VERSIONS, World

if TYPE_CHECKING:
    from ops.embedded.cluster import EmbeddedCluster
    from tests.real.embedded.shared_cluster import SharedCluster

ROOT = checkout.ROOT
"""The copy of the tree that is tested: ../conftest.py makes it."""

Synth = Callable[..., dict[str, Any]]

_RUNNING_CLUSTER = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def locked() -> tuple[LockedModel, ...]:
    return DECLARATION.locked


@pytest.fixture(scope="session", autouse=True)
def synthesized_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the first test that runs this tree's `main.py` pay for it, and copy what that wrote.

    The program reads the files of its tree alone, and the workers' trees are equal. Nothing of two
    workers meets in `cdktf.out`.
    """
    folder = tmp_path_factory.mktemp("synth")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    written = shared / "synthesized-once"
    program = subprocess.run

    def run(command: list[str], *, cwd: Path, env: dict[str, str], **how: Any) -> Any:
        if cwd != ROOT:
            return program(command, cwd=cwd, env=env, **how)
        with written.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not written.exists():
                result = program(command, cwd=cwd, env=env | {"CDKTF_OUTDIR": str(written)}, **how)
                assert result.returncode == 0, result.stderr
        shutil.copytree(written, cwd / env["CDKTF_OUTDIR"], dirs_exist_ok=True)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDKTF_OUTDIR", str(folder / "cdktf.out"))
        patch.setattr(ops_synth, "subprocess", SimpleNamespace(run=run))
        patch.chdir(ROOT)  # For a program that a test starts without naming a folder.
        yield


@pytest.fixture(scope="session", autouse=True)
def no_kept_headers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no header that an operator's `ops lock` kept on this machine change an answer."""
    folder = tmp_path_factory.mktemp("headers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.engine.headers.headers_dir", lambda: folder)
        yield


@pytest.fixture(scope="session")
def synth() -> Synth:
    """Synthesize the stack with some settings replaced, as the JSON that Terraform reads."""
    from constructs.terraform import App, Testing
    from stacks.llama_cpp import LlamaCppStack

    def synthesize(
        models: tuple[Model, ...] = REGISTRY,
        consumers: tuple[Consumer, ...] = CONSUMERS,
        **changes: Any,
    ) -> dict[str, Any]:
        settings = replace(SETTINGS, **changes)
        ids = [model.id for model in models]
        asking = (
            replace(each, models=tuple(name for name in each.models if name in ids) or (ids[0],))
            for each in consumers
        )
        declaration = Declaration.of(models, consumers=asking)
        stack = LlamaCppStack(App(), "llama-cpp", settings=settings, declaration=declaration)
        document: dict[str, Any] = json.loads(Testing.synth(stack))
        return document

    return synthesize


@pytest.fixture(scope="session")
def production(synth: Synth) -> dict[str, Any]:
    return synth()


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory that PostgreSQL's own user can reach as long as the servers run.

    Each start of pytest closes the directories of all its runs to other users.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_cluster(open_directory: Path, pytestconfig: pytest.Config) -> Iterator[SharedCluster]:
    """A cluster for all files that a worker runs; it stops after the last of them."""
    # Imported here: a file of tests that needs no server starts without a Kubernetes client.
    from ops.embedded import cluster as embedded
    from tests.real.embedded.shared_cluster import SharedCluster

    with ExitStack() as running:
        state_dir = open_directory / "embedded"
        running.callback(embedded.down, state_dir, say=lambda line: None)
        pytestconfig.stash[_RUNNING_CLUSTER] = running
        yield SharedCluster(embedded.up(state_dir, settings=SETTINGS, say=print))


@pytest.fixture(scope="module")
def cluster(shared_cluster: SharedCluster) -> Iterator[EmbeddedCluster]:
    """The cluster as `up` makes it, for one file."""
    yield shared_cluster.cluster
    shared_cluster.empty()


@pytest.fixture
def bench_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`bench` without anything of this machine: keys, addresses, earlier runs."""
    from ops.commands.bench import session

    for name in (
        *("LLAMA_API_KEY", "LLAMA_SWAP_URL", "LLAMA_SWAP_POOL", "KUBE_CONFIG_PATH"),
        "IMMICH_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session, "RUNS", tmp_path / "bench-runs")


@pytest.fixture(params=VERSIONS, ids=lambda version: ".".join(map(str, version)))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An Immich of each version that is known, with photos to publish."""
    with immich_server(request.param) as server:
        yield World(server, tmp_path)


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[World]:
    """The newest of them."""
    with immich_server() as server:
        yield World(server, tmp_path)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A volume's directory that is not there yet."""
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A model of two files at a hub; large enough for many requests."""
    return Source(tmp_path / "source", 3 * 2**20 + 5, 200_000)


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the handlers that a program of in_pod/ sets when it runs in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def pytest_configure() -> None:
    # In the background of a shell SIGINT is ignored, and what the tests start would ignore it too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Messages name the cluster of these variables; a test sets those of its own.
    for name in ("KUBE_CONFIG_PATH", "KUBE_CTX"):
        os.environ.pop(name, None)
    # Each HTTP client reads the machine's certificates: 20 ms, and few tests' servers have TLS.
    httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)
    # Terraform, its provider and the control plane spend a third of their time collecting garbage.
    os.environ.setdefault("GOGC", "400")
    # A port that one worker found free must not be taken by another before its server starts.
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        first = 20000 + 3000 * (int(worker.removeprefix("gw")) % 4)
        os.environ[RANGE_VARIABLE] = f"{first}-{first + 3000}"


@pytest.hookimpl(tryfirst=True)  # Before pytest groups tests by the parameters of their fixtures.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what starts servers first; with `--shuffle`, reorder files and the tests of each."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    ordered = list(files.values())
    seed = config.getoption("--shuffle")
    if seed is None:
        # Those files take longest, and a process that gets one last keeps the others waiting.
        real = Path(__file__).with_name("real")  # Not below ROOT: pytest collects the tree itself.
        ordered.sort(key=lambda tests: not tests[0].path.is_relative_to(real))
        # An idle cluster computes too: the sooner it is not needed any more, the sooner it stops.
        ordered.sort(key=lambda tests: not any(map(_uses_cluster, tests)))
    else:
        draw = random.Random(seed)
        draw.shuffle(ordered)
        for tests in ordered:
            draw.shuffle(tests)
    items[:] = [item for tests in ordered for item in tests]


def _uses_cluster(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "shared_cluster" in item.fixturenames


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Stop the cluster once no later test uses it: a worker runs tests in their order only."""
    try:
        return (yield)
    finally:
        running = item.config.stash.get(_RUNNING_CLUSTER, None)
        # Not within a file: its `cluster` is emptied after its last test.
        ended = nextitem is not None and nextitem.path != item.path
        if running is not None and nextitem is not None and ended:
            tests = item.session.items
            if not any(map(_uses_cluster, tests[tests.index(nextitem) :])):
                del item.config.stash[_RUNNING_CLUSTER]
                running.close()


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays; it took a seventh of the time of many tests."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once why tests were skipped, however many."""
    reasons = Counter(
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason.removeprefix('Skipped: ')}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in another order")
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew, to be reviewed"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
