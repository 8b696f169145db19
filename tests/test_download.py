"""The download program against real local servers that misbehave in the ways that hubs do."""

from __future__ import annotations

import ast
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from in_pod import download
from tests import misbehaving_hub as hubs
from tests.volume import Source

KIB = 1024
FAST = ("--connections=4", "--timeout-s=0.4", "--patience-s=2", "--lease-s=2", "--wait-s=0.3")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many segments in a small file, and nothing of the machine's own proxy and token."""
    monkeypatch.setattr(download, "SEGMENT_BYTES", 64 * KIB)
    monkeypatch.setattr(download, "CHUNK_BYTES", 16 * KIB)
    monkeypatch.setattr(download, "SLOW_WINDOW_S", 0.3)
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 1024 * KIB + 5, 90 * KIB)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run the program against a hub: exit code, what it said, and its error."""

    def program(hub: hubs.Hub, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        plan = ("--plan", str(source.plan_path), "--models", str(models))
        code = download.main([*plan, *FAST, *arguments])
        said = capsys.readouterr()
        assert said.err.count("\n") == (0 if code == 0 else 1)
        return code, said.out, said.err

    return program


@pytest.mark.parametrize(
    "handler",
    [
        hubs.Counted,
        hubs.Cuts,
        hubs.HangsUp,
        hubs.StallsAtFirst,
        hubs.KnowsNoRanges,
        hubs.ForgetsRanges,
        hubs.CutsWholeFiles,
        hubs.FlipsOneByte,
        hubs.WantsAPause,
        hubs.HasABadMinute,
        hubs.HasSlowConnections,
    ],
)
def test_exactly_the_right_bytes_come_from(
    handler: type[hubs.Counted], run: Run, source: Source, models: Path
) -> None:
    with hubs.Hub(source.files, handler) as hub:
        code, _, error = run(hub)
    assert (code, error) == (0, "")
    assert source.is_published(models)


@pytest.mark.parametrize(
    ("handler", "code", "message"),
    [
        (hubs.Stalls, download.TRANSIENT, "no byte for"),
        (hubs.Lies, download.TRANSIENT, "another range than was asked for"),
        (hubs.SendsAnotherRange, download.TRANSIENT, "another range than was asked for"),
        (hubs.FlipsAlways, download.BAD_DATA, "wrong bytes twice"),
        (hubs.WantsALongPause, download.TRANSIENT, "asks for a pause of 600 s"),
        (hubs.IsDown, download.TRANSIENT, "HTTP 502"),
        (hubs.WantsALogin, download.NO_ACCESS, "HTTP 401: no access"),
        (hubs.Forbids, download.NO_ACCESS, "HTTP 403: no access"),
        (hubs.HasItNot, download.NOT_AS_PLANNED, "not there at revision"),
        (hubs.HasItNoMore, download.NOT_AS_PLANNED, "shorter than planned"),
        (hubs.HasAnother, download.NOT_AS_PLANNED, "the hub has sha256 000"),
        (hubs.HasALongerOne, download.NOT_AS_PLANNED, "bytes, not"),
        (hubs.GoesInCircles, download.NOT_AS_PLANNED, "redirects in a circle"),
    ],
)
def test_nothing_becomes_visible_of(
    handler: type[hubs.Counted], code: int, message: str, run: Run, source: Source, models: Path
) -> None:
    with hubs.Hub(source.files, handler) as hub:
        found, _, error = run(hub)
    assert found == code, error
    assert message in error
    assert not source.is_published(models)
    assert list((models / "blobs").glob("[0-9a-f]" * 64)) == []


def test_a_refusal_is_final_after_one_request(run: Run, source: Source) -> None:
    with hubs.Hub(source.files, hubs.Forbids) as hub:
        run(hub)
        # Both files may have been asked for at once.
        assert len(hub.requests) <= 2


def test_an_older_model_stays_while_its_successor_does_not_come(
    run: Run, source: Source, models: Path, tmp_path: Path
) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
    newer = Source(tmp_path / "newer", 200 * KIB, 30 * KIB)
    source.write_plan(newer.plan())
    with hubs.Hub(newer.files, hubs.FlipsAlways) as hub:
        assert run(hub)[0] == download.BAD_DATA
    assert source.is_published(models)
    with hubs.Hub(newer.files) as hub:
        assert run(hub)[0] == 0
    assert newer.is_published(models)


def test_a_whole_volume_costs_no_request(run: Run, source: Source) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
        hub.requests.clear()
        assert run(hub)[0] == 0
        assert hub.requests == []


def test_each_byte_comes_once_and_each_file_is_resolved_once(run: Run, source: Source) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
        assert hub.sent_bytes == source.size_bytes + len(source.files)
        resolved = [each for each in hub.requests if each["Range"] == "bytes=0-0"]
        assert len(resolved) == len(source.files)


def test_a_pause_that_the_hub_asks_for_is_kept(run: Run, source: Source) -> None:
    started = time.monotonic()
    with hubs.Hub(source.files, hubs.WantsAPause) as hub:
        run(hub)
    assert time.monotonic() - started > 0.9


def test_a_slow_connection_is_opened_anew(run: Run, source: Source) -> None:
    with hubs.Hub(source.files, hubs.HasSlowConnections) as hub:
        run(hub)
        # One each to resolve, four that carry, and one for each that was slow.
        assert hub.good_signatures["connections"] >= len(source.files) + 4 + 2


def test_a_wrong_byte_is_said_and_only_its_file_comes_again(run: Run, source: Source) -> None:
    with hubs.Hub(source.files, hubs.FlipsOneByte) as hub:
        _, said, _ = run(hub)
    assert said.count("the sha256 is wrong; downloading it once more") == 1


@pytest.fixture
def two_hosts(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[hubs.Signs]], Iterator[tuple[hubs.Hub, hubs.Hub]]]:
    """A hub, and the host of another name to which it redirects."""

    def start(handler: type[hubs.Signs]) -> Iterator[tuple[hubs.Hub, hubs.Hub]]:
        with hubs.Hub(source.files, handler) as hub, hubs.Hub(source.files, hubs.Cdn) as cdn:
            hub.cdn_url = cdn.url.replace("127.0.0.1", "localhost")
            monkeypatch.setattr(hubs.Cdn, "hub", hub, raising=False)
            yield hub, cdn

    return start


def test_a_signed_address_serves_all_segments_of_a_file(
    two_hosts: Any, run: Run, source: Source, models: Path
) -> None:
    for hub, cdn in two_hosts(hubs.Signs):
        assert run(hub)[0] == 0
        assert len(hub.requests) == len(source.files)
        assert len(cdn.requests) > len(source.files)
    assert source.is_published(models)


def test_an_expired_address_is_resolved_again(
    two_hosts: Any, run: Run, source: Source, models: Path
) -> None:
    for hub, _ in two_hosts(hubs.SignsForAMoment):
        assert run(hub)[0] == 0
        assert len(hub.requests) > len(source.files)
    assert source.is_published(models)


def test_a_403_of_the_second_host_is_no_refusal_and_its_address_is_not_said(
    two_hosts: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs.Signs, "answers", 0)
    for hub, _ in two_hosts(hubs.Signs):
        code, said, error = run(hub)
        assert code == download.TRANSIENT
        assert "signature=" not in said + error


def test_the_token_goes_to_the_hub_alone_and_is_never_said(
    two_hosts: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    for hub, cdn in two_hosts(hubs.Signs):
        code, said, error = run(hub)
        assert code == 0
        assert {each["Authorization"] for each in hub.requests} == {"Bearer hf_secret"}
        assert cdn.requests
        assert not [each for each in cdn.requests if "Authorization" in each]
        assert "hf_secret" not in said + error


def test_a_token_that_is_none_is_refused_without_saying_it(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret with spaces")
    with hubs.Hub(source.files) as hub:
        code, _, error = run(hub)
    assert code == download.NOT_AS_PLANNED
    assert "HF_TOKEN" in error
    assert "secret" not in error


def test_the_proxy_of_the_environment_is_used(
    run: Run, source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.Hub(source.files) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:word@"))
        monkeypatch.setattr(hubs.Hub, "url", "http://hub.invalid")
        assert run(proxy)[0] == 0
        assert {each["path"].partition("/owner")[0] for each in proxy.requests} == {
            "http://hub.invalid"
        }
        assert all(each["Proxy-Authorization"] == "Basic dXNlcjp3b3Jk" for each in proxy.requests)
    assert source.is_published(models)


def test_no_hub_at_all(run: Run, source: Source) -> None:
    with hubs.Hub(source.files) as hub:
        pass
    code, _, error = run(hub)
    assert code == download.TRANSIENT
    assert "refused" in error


def test_an_endpoint_that_is_no_address(
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")
    code = download.main(["--plan", str(source.plan_path), "--models", str(models)])
    assert code == download.NOT_AS_PLANNED
    assert "HF_ENDPOINT" in capsys.readouterr().err


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(plan: dict[str, Any]) -> None:
        plan["files"][0][key] = value

    return apply


def link(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(plan: dict[str, Any]) -> None:
        plan["models"][0]["links"][0][key] = value

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        change("name", "../x"),
        change("name", "/etc/x"),
        change("name", ""),
        change("repository", "a b"),
        change("repository", "owner/../../x"),
        change("revision", 1),
        change("sha256", "0"),
        change("sha256", "A" * 64),
        change("size_bytes", 0),
        change("size_bytes", -1),
        change("size_bytes", True),
        change("extra", 1),
        link("name", "/etc/passwd"),
        link("name", "../model.gguf"),
        link("sha256", "0" * 64),
        lambda plan: plan["files"].append(dict(plan["files"][0])),
        lambda plan: plan["files"].append({**plan["files"][0], "name": "same-bytes.gguf"}),
        lambda plan: plan["files"].append({**plan["files"][0], "sha256": "0" * 64}),
        lambda plan: plan["models"].append(plan["models"][0]),
        lambda plan: plan["models"][0]["links"].append(plan["models"][0]["links"][0]),
        lambda plan: plan["models"][0].update(links=[]),
        lambda plan: plan["models"][0].update(id=".."),
        lambda plan: plan["models"][0].update(id="blobs"),
        lambda plan: plan["models"][0].update(id="sets"),
        lambda plan: plan.update(version=2),
        lambda plan: plan.pop("models"),
        lambda plan: plan.update(files=None),
    ],
)
def test_a_plan_that_is_none_is_refused_in_one_line(
    spoil: Callable[[dict[str, Any]], None], run: Run, source: Source, models: Path
) -> None:
    plan = source.plan()
    spoil(plan)
    source.write_plan(plan)
    with hubs.Hub(source.files) as hub:
        code, _, error = run(hub)
        assert hub.requests == []
    assert code == download.BAD_DATA
    assert "is no download plan (" in error
    assert not models.exists()


def test_a_plan_that_is_no_json(run: Run, source: Source) -> None:
    source.plan_path.write_text('{"version": 1')
    with hubs.Hub(source.files) as hub:
        assert run(hub)[0] == download.BAD_DATA
        source.plan_path.unlink()
        assert run(hub)[0] == download.BAD_DATA


@pytest.mark.parametrize(
    "arguments", [["--quarantine"], ["--dry-run"], ["--connections", "0"], ["--rate-mb-s", "0"]]
)
def test_usage(arguments: list[str], source: Source, models: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        download.main(["--plan", str(source.plan_path), "--models", str(models), *arguments])
    assert caught.value.code == 2


def test_no_space_is_said_before_the_first_byte(run: Run, source: Source) -> None:
    plan = source.plan()
    plan["files"][0]["size_bytes"] = 2**60
    source.write_plan(plan)
    with hubs.Hub(source.files) as hub:
        code, _, error = run(hub)
        assert hub.requests == []
    assert code == download.NO_SPACE
    assert "GiB free" in error


def test_progress_is_a_line_with_percent_speed_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = download.File(
        repository="o/n", revision="r", name="model.gguf", size_bytes=2**30, sha256="0" * 64
    )
    report = download.PlainReport(every_s=0)
    report(download.Progress(files=((file, 2**28),), rate=2**28))
    assert capsys.readouterr().out == ("25.0 % of 1.00 GiB, 268.4 MB/s, 3 s left; model.gguf\n")


@pytest.mark.parametrize("program", sorted(Path(download.__file__).parent.glob("*.py")))
def test_programs_in_the_pod_import_nothing_but_the_standard_library(program: Path) -> None:
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
