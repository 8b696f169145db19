"""Numbers in headers, which a server or somebody on the way may have written in any way."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Iterator
from http.client import HTTPMessage
from itertools import islice
from pathlib import Path

import pytest

from in_pod.download import pace
from in_pod.download.__main__ import main
from in_pod.download.contract import NOT_AS_PLANNED, TRANSIENT
from in_pod.download.headers import LONGEST_PAUSE_S, pause_s, whole_number
from ops.hub.local_hub import HubFile
from tests.fakes import hubs
from tests.in_pod.download.volume import Source
from tests.in_pod.download.ways import forget_environment

pytestmark = pytest.mark.usefixtures("signals")
HUGE = "9" * 5000


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)
    monkeypatch.setattr(pace, "RETRY_S", 0.02)


def wanted_s(status: int = 429, **headers: str) -> float:
    message = HTTPMessage()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return pause_s(message, status)


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("7, 9", 7),
        ("-7", 0),
        ("+7", 0),
        ("1e3", 0),
        ("0x10", 0),
        ("1_000", 0),
        ("nan", 0),
        ("inf", 0),
        ("\u00b2", 0),
        ("\u0663", 0),
        ("soon", 0),
        (HUGE, LONGEST_PAUSE_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE_S),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_PAUSE_S),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 2027 23:59:59 +99999999999999999999", 0),
    ],
)
def test_a_retry_after_of_any_form(value: str, expected_s: float) -> None:
    assert wanted_s(Retry_After=value) == expected_s


def test_a_date_is_a_pause_until_then() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 98 < wanted_s(Retry_After=date) <= 100
    assert 98 < wanted_s(Retry_After=date.replace("GMT", "-0000")) <= 100


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ('"api";r=0;t=212', 212),
        ('"resolvers"; r=0; t=97', 97),
        ('"api";r=12;t=9, "resolvers";r=0;t=97', 97),
        ('"api";r=0;t=9, "resolvers";r=0;t=97', 97),
        ('"api";t=30', 30),
        ('"api";r=0', 0),
        ('"api";r=0;t=-5', 0),
        ('"api";r=0;t=\u00b2', 0),
        (f'"api";r={HUGE};t={HUGE}', LONGEST_PAUSE_S),
        ("", 0),
    ],
)
def test_a_rate_limit_says_when_it_is_renewed(value: str, expected_s: float) -> None:
    assert wanted_s(RateLimit=value) == expected_s
    assert wanted_s(RateLimit=value, Retry_After="7") == 7
    assert wanted_s(503, RateLimit=value) == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("12", 12),
        ("9" * 18, 10**18 - 1),
        *((text, None) for text in ("", "-1", "+1", " 1", "1.0", "1,2", "\u00b2", "\u0661", HUGE)),
    ],
)
def test_a_number_of_bytes(value: str, expected: int | None) -> None:
    assert whole_number(value) == expected


def texts(seed: int) -> Iterator[str]:
    """Yield header values near the right ones, the same for each seed."""
    dice = random.Random(seed)
    parts = [
        *("0", "7", "212", "9" * 30, HUGE, "-", "+", ".", ",", ";", "=", "/", " ", "\t", '"', "*"),
        *("r=", "t=", "bytes ", "Fri", " 31", " Dec", " 9999", " 0001", ":59", " GMT", " +9999"),
        *("\u00b2", "\u00bd", "\u0663", "\x00", "nan", "1e9", "W/", "0x"),
    ]
    while True:
        yield "".join(dice.choices(parts, k=dice.randrange(8)))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_header_is_an_error(seed: int) -> None:
    for text in islice(texts(seed), 10_000):
        number = whole_number(text)
        assert number is None or 0 <= number < 10**18
        for status in (429, 503):
            assert 0 <= wanted_s(status, Retry_After=text, RateLimit=text) <= LONGEST_PAUSE_S


class SaysSo(hubs.Counted):
    """Sends one header's value as the test wants it, with the bytes or with 429."""

    header = ""
    value = ""
    status = 0
    only_bytes = True

    def send_file(self, file: HubFile, *, body: bool) -> None:
        if self.status and not self.is_first_byte_only():
            self.refuse(self.status, **{self.header.replace("-", "_"): self.value})
        else:
            super().send_file(file, body=body)

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == self.header and not (self.only_bytes and self.is_first_byte_only()):
            value = self.value
        super().send_header(keyword, value)


@pytest.mark.parametrize(
    ("header", "value", "code", "message"),
    [
        ("Content-Length", "\u00b2", 0, ""),
        ("Content-Length", "-5", 0, ""),
        ("Content-Length", HUGE, 0, ""),
        ("Content-Length", "1.5", 0, ""),
        ("Content-Length", "7, 7", 0, ""),
        ("Content-Length", "999999999999", TRANSIENT, "the server sent another range"),
        ("Content-Length", "1", TRANSIENT, "the server sent another range"),
        ("Content-Range", "\u00b2", TRANSIENT, "the server sent another range"),
        ("Content-Range", f"bytes 0-1/{HUGE}", TRANSIENT, "the server sent another range"),
        ("Content-Range", "bytes 0-1/\u00b2", TRANSIENT, "the server sent another range"),
        ("Content-Range", "bytes 0-1/-7", TRANSIENT, "the server sent another range"),
        ("Content-Range", "bytes 0-1/7", NOT_AS_PLANNED, "the hub has 7 bytes instead of"),
        ("Content-Range", "", TRANSIENT, "the server sent another range"),
    ],
)
def test_a_hub_with_strange_headers(
    header: str,
    value: str,
    code: int,
    message: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(SaysSo, "header", header)
    monkeypatch.setattr(SaysSo, "value", value)
    found, error = download(source, models, monkeypatch, capsys)
    assert found == code, error
    assert message in error
    assert source.is_published(models) == (code == 0)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(("X-Linked-Size", value) for value in ("\u00b2", HUGE, "-1", "1.0")),
        *(("X-Linked-Etag", value) for value in ("\u00b2", "W/", '"', "a" * 64 + "b")),
    ],
)
def test_a_description_that_says_nothing_is_ignored(
    header: str,
    value: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Describes(hubs.Counted):
        def end_headers(self) -> None:
            self.send_header(header, value)
            super().end_headers()

    assert download(source, models, monkeypatch, capsys, Describes)[0] == 0
    assert source.is_published(models)


@pytest.mark.parametrize(
    ("status", "header", "value", "message"),
    [
        (429, "Retry-After", "\u00b2", "HTTP 429"),
        (429, "Retry-After", "-1", "HTTP 429"),
        (429, "Retry-After", HUGE, "requests a pause of 86400 s"),
        (503, "Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", "requests a pause of 86400 s"),
        (503, "Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT", "HTTP 503"),
        (429, "RateLimit", '"api";r=0;t=212', "requests a pause of 212 s"),
    ],
)
def test_a_hub_with_a_strange_pause(
    status: int,
    header: str,
    value: str,
    message: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(SaysSo, "status", status)
    monkeypatch.setattr(SaysSo, "header", header)
    monkeypatch.setattr(SaysSo, "value", value)
    code, error = download(source, models, monkeypatch, capsys)
    assert code == TRANSIENT
    assert message in error


@pytest.mark.parametrize(
    "location",
    ["http://h ost/", "http://[/", "http://host:99999/", "http://\u00e9/", "ftp://h/"],
)
def test_a_redirect_to_an_invalid_address(
    location: str,
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Redirects(hubs.Counted):
        def send_file(self, file: HubFile, *, body: bool) -> None:
            self.refuse(302, Location=location)

    code, error = download(source, models, monkeypatch, capsys, Redirects)
    assert code == TRANSIENT
    assert "a redirect to an invalid address" in error


def download(
    source: Source,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    handler: type[hubs.Counted] = SaysSo,
) -> tuple[int, str]:
    """Run the program against a hub; returns exit code and error."""
    with hubs.Hub(source.files, handler) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        plan = ("--plan", str(source.plan_path), "--models", str(models))
        code = main([*plan, "--timeout-s=1", "--patience-s=0.3", "--lease-s=2", "--wait-s=0"])
    error = capsys.readouterr().err
    assert error.count("\n") == (0 if code == 0 else 1)
    return code, error
