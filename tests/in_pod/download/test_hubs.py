"""The download program against real local servers that misbehave in the ways that hubs do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from in_pod.download import filler, journal, pace, transfer
from in_pod.download import run as run_module
from in_pod.download.__main__ import main
from in_pod.download.contract import BAD_DATA, NO_ACCESS, NO_SPACE, NOT_AS_PLANNED, TRANSIENT
from in_pod.download.plan import File
from in_pod.download.progress import PlainReport, Progress
from tests.fakes import hubs
from tests.in_pod.download.volume import Source
from tests.in_pod.download.ways import forget_environment

KIB = 1024
pytestmark = pytest.mark.usefixtures("signals")

SOON = "--patience-s=0.5"
"""Makes a run give up soon, for a hub that never sends the bytes."""
FAST = ("--connections=4", "--timeout-s=1", "--patience-s=5", "--lease-s=2", "--wait-s=0.3")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many segments in a small file, and nothing of the machine's own proxy and token."""
    for module in (journal, transfer, filler):
        monkeypatch.setattr(module, "SEGMENT_BYTES", 64 * KIB)
    monkeypatch.setattr(filler, "CHUNK_BYTES", 16 * KIB)
    monkeypatch.setattr(filler, "SLOW_WINDOW_S", 0.3)
    monkeypatch.setattr(pace, "RETRY_S", 0.02)
    forget_environment(monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 1024 * KIB + 5, 90 * KIB)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run the program against a hub; returns exit code, output and error."""

    def program(hub: hubs.Hub, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        plan = ("--plan", str(source.plan_path), "--models", str(models))
        code = main([*plan, *FAST, *arguments])
        output = capsys.readouterr()
        assert output.err.count("\n") == (0 if code == 0 else 1)
        return code, output.out, output.err

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
def test_the_right_bytes_are_published_despite(
    handler: type[hubs.Counted], run: Run, source: Source, models: Path
) -> None:
    with hubs.Hub(source.files, handler) as hub:
        code, _, error = run(hub, "--patience-s=6")
    assert (code, error) == (0, "")
    assert source.is_published(models)


@pytest.mark.parametrize(
    ("handler", "code", "message"),
    [
        (hubs.Stalls, TRANSIENT, "no data for"),
        (hubs.Lies, TRANSIENT, "the server sent another range"),
        (hubs.SaysNoRange, TRANSIENT, "the server sent another range"),
        (hubs.SendsAnotherRange, TRANSIENT, "the server sent another range"),
        (hubs.FlipsAlways, BAD_DATA, "wrong sha256 twice"),
        (hubs.WantsALongPause, TRANSIENT, "requests a pause of 600 s"),
        (hubs.IsDown, TRANSIENT, "HTTP 502"),
        (hubs.WantsALogin, NO_ACCESS, "HTTP 401: no access"),
        (hubs.Forbids, NO_ACCESS, "HTTP 403: no access"),
        (hubs.HasItNot, NOT_AS_PLANNED, "not found at revision"),
        (hubs.ObeysALaw, NOT_AS_PLANNED, "HTTP 451"),
        (hubs.HasItNoMore, NOT_AS_PLANNED, "shorter than planned"),
        (hubs.HasAnother, NOT_AS_PLANNED, "the hub has sha256 000"),
        (hubs.HasALongerOne, NOT_AS_PLANNED, "bytes instead of"),
        (hubs.GoesInCircles, NOT_AS_PLANNED, "redirects in a loop"),
    ],
)
def test_nothing_is_published_from(
    handler: type[hubs.Counted], code: int, message: str, run: Run, source: Source, models: Path
) -> None:
    with hubs.Hub(source.files, handler) as hub:
        found, _, error = run(hub, SOON)
    assert found == code, error
    assert message in error
    assert not source.is_published(models)
    assert list((models / "blobs").glob("[0-9a-f]" * 64)) == []


def test_a_segment_is_filled_by_one_connection(run: Run, source: Source, models: Path) -> None:
    """The one that stalled would go on behind the other's end, in bytes that were checked."""
    with hubs.Hub(source.files, hubs.ForgetsRangesBesideAStall) as hub:
        assert run(hub, "--timeout-s=5", "--patience-s=10")[0] == 0
    assert source.is_published(models)


def test_a_segment_of_a_truncated_response_is_retried_once(
    run: Run, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "FIRST_CONNECTIONS", 4)
    for attempt in range(6):
        volume = tmp_path / f"volume-{attempt}"
        with hubs.Hub(source.files, hubs.CutsOneWholeFile) as hub:
            code, output, _ = run(hub, "--models", str(volume))
            assert hub.sent_bytes < 1.5 * source.size_bytes
        assert code == 0
        assert "wrong" not in output
        assert source.is_published(volume)


def test_a_failing_file_does_not_block_the_others(run: Run, source: Source, models: Path) -> None:
    with hubs.Hub(source.files, hubs.HasASickFile) as hub:
        code, _, error = run(hub)
    assert code == TRANSIENT
    assert "model.gguf: HTTP 503" in error
    assert (models / "blobs" / source.sha256("mmproj.gguf")).exists()
    assert not source.is_published(models)


def test_a_refusal_is_final_after_one_request(run: Run, source: Source) -> None:
    with hubs.Hub(source.files, hubs.Forbids) as hub:
        run(hub)
        # Both files may have been asked for at once.
        assert len(hub.requests) <= 2


def test_the_old_version_stays_published_until_the_new_one_is_complete(
    run: Run, source: Source, models: Path, tmp_path: Path
) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
    newer = Source(tmp_path / "newer", 200 * KIB, 30 * KIB)
    source.write_plan(newer.plan())
    with hubs.Hub(newer.files, hubs.FlipsAlways) as hub:
        assert run(hub)[0] == BAD_DATA
    assert source.is_published(models)
    with hubs.Hub(newer.files) as hub:
        assert run(hub)[0] == 0
    assert newer.is_published(models)


def test_a_complete_volume_needs_no_request(run: Run, source: Source) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
        hub.requests.clear()
        assert run(hub)[0] == 0
        assert hub.requests == []


def test_each_byte_is_downloaded_once_and_each_file_resolved_once(
    run: Run, source: Source
) -> None:
    with hubs.Hub(source.files) as hub:
        run(hub)
        assert hub.sent_bytes == source.size_bytes + len(source.files)
        resolved = [request for request in hub.requests if request["Range"] == "bytes=0-0"]
        assert len(resolved) == len(source.files)


def test_a_requested_pause_is_respected(run: Run, source: Source) -> None:
    started = time.monotonic()
    with hubs.Hub(source.files, hubs.WantsAPause) as hub:
        assert run(hub, "--patience-s=6")[0] == 0
    assert time.monotonic() - started > 0.9


def test_a_slow_connection_is_reopened(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "FIRST_CONNECTIONS", 4)
    with hubs.Hub(source.files, hubs.HasSlowConnections) as hub:
        run(hub)
        # One each to resolve, four that carry, and one for each that was slow.
        assert hub.good_signatures["connections"] >= len(source.files) + 4 + 2


def test_connections_grow_while_the_download_gets_faster(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "GROW_S", 0.05)
    source = Source(source.plan_path.parent, 3 * 1024 * KIB, 90 * KIB)
    with hubs.Hub(source.files, hubs.Paced) as hub:
        assert run(hub, "--connections=8")[0] == 0
        assert hub.most_at_once > 4


def test_only_a_file_with_a_wrong_sha256_is_downloaded_again(run: Run, source: Source) -> None:
    with hubs.Hub(source.files, hubs.FlipsOneByte) as hub:
        _, output, _ = run(hub)
    assert output.count("wrong sha256; downloading it again") == 1


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


def test_an_expired_signed_address_is_resolved_again(
    two_hosts: Any, run: Run, source: Source, models: Path
) -> None:
    for hub, _ in two_hosts(hubs.SignsForAMoment):
        assert run(hub)[0] == 0
        assert len(hub.requests) > len(source.files)
    assert source.is_published(models)


def test_a_403_from_a_signed_address_is_retried_and_the_address_not_printed(
    two_hosts: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs.Signs, "answers", 0)
    for hub, _ in two_hosts(hubs.Signs):
        code, output, error = run(hub, SOON)
        assert code == TRANSIENT
        assert "signature=" not in output + error


def test_only_the_hub_gets_the_token_and_it_is_not_printed(
    two_hosts: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    for hub, cdn in two_hosts(hubs.Signs):
        code, output, error = run(hub)
        assert code == 0
        assert {request["Authorization"] for request in hub.requests} == {"Bearer hf_secret"}
        assert cdn.requests
        assert not [request for request in cdn.requests if "Authorization" in request]
        assert "hf_secret" not in output + error


def test_an_invalid_token_is_refused_and_not_printed(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret with spaces")
    with hubs.Hub(source.files) as hub:
        code, _, error = run(hub)
    assert code == NOT_AS_PLANNED
    assert "HF_TOKEN" in error
    assert "secret" not in error


def test_an_unreachable_hub_is_a_temporary_error(run: Run, source: Source) -> None:
    with hubs.Hub(source.files) as hub:
        pass
    code, _, error = run(hub, SOON)
    assert code == TRANSIENT
    assert "refused" in error


@pytest.mark.parametrize("endpoint", ["huggingface.co", "https://hub:99999", "ftp://hub"])
def test_an_invalid_endpoint_is_refused(
    endpoint: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    code = main(["--plan", str(source.plan_path), "--models", str(models)])
    assert code == NOT_AS_PLANNED
    assert "HF_ENDPOINT" in capsys.readouterr().err


def test_redirects_from_host_to_host_are_followed_without_the_token(
    run: Run, source: Source, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with (
        hubs.Hub(source.files, hubs.Signs) as hub,
        hubs.Hub(source.files, hubs.Forwards) as mirror,
        hubs.Hub(source.files) as cdn,
    ):
        hub.cdn_url = mirror.url.replace("127.0.0.1", "localhost")
        monkeypatch.setattr(hubs.Forwards, "next_url", cdn.url, raising=False)
        assert run(hub)[0] == 0
        assert cdn.requests
        assert not [
            request for request in mirror.requests + cdn.requests if "Authorization" in request
        ]
    assert source.is_published(models)


def test_a_redirect_loop_between_hosts_ends(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        hubs.Hub(source.files, hubs.Signs) as hub,
        hubs.Hub(source.files, hubs.Forwards) as mirror,
    ):
        hub.cdn_url = mirror.url.replace("127.0.0.1", "localhost")
        monkeypatch.setattr(hubs.Forwards, "next_url", hub.cdn_url, raising=False)
        code, _, error = run(hub, "--patience-s=10")
    assert code == NOT_AS_PLANNED
    assert "redirects in a loop" in error


def test_a_redirect_to_an_ipv6_address_needs_no_port(
    run: Run, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs.Forwards, "next_url", "http://[fe80::abcd]", raising=False)
    with hubs.Hub(source.files, hubs.Forwards) as hub:
        code, _, error = run(hub, SOON)
    assert code == TRANSIENT
    assert "fe80::abcd: OSError" in error


def test_missing_space_is_reported_before_the_first_request(run: Run, source: Source) -> None:
    plan = source.plan()
    plan["files"][0]["size_bytes"] = 2**60
    source.write_plan(plan)
    with hubs.Hub(source.files) as hub:
        code, _, error = run(hub)
        assert hub.requests == []
    assert code == NO_SPACE
    assert "GiB free; expected" in error


def test_progress_shows_percent_speed_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = File(
        repository="o/n", revision="r", name="model.gguf", size_bytes=2**30, sha256="0" * 64
    )
    report = PlainReport(print, every_s=0)
    report(Progress(files=((file, 2**28),), rate=2**28))
    assert capsys.readouterr().out == ("25.0 % of 1.00 GiB, 268.4 MB/s, 3 s left; model.gguf\n")
