"""Hubs that do what real ones were seen to do: a class for each misbehaviour."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from ops.hub.local_hub import HubFile, HubHandler, LocalHub

PIECE_BYTES = 16 * 1024


class Hub(LocalHub):
    """A hub that counts what it is asked for and what it sends."""

    def __init__(
        self, files: Mapping[tuple[str, str], HubFile], handler: type[HubHandler] | None = None
    ) -> None:
        super().__init__(files, handler or Counted)
        self.requests: list[dict[str, str]] = []
        self.sent_bytes = 0
        self.lock = threading.Lock()
        self.cdn_url = ""
        self.at_once = self.most_at_once = 0
        self.good_signatures: dict[str, int] = {}

    def count(self, what: str) -> int:
        """How many requests had a text in their path."""
        return sum(what in request["path"] for request in self.requests)


class Counted(HubHandler):
    """Behaves, and counts."""

    server: Hub
    timeout = 20

    def answer(self, *, body: bool) -> None:
        with self.server.lock:
            self.server.requests.append({"path": self.path, **dict(self.headers.items())})
            self.number = len(self.server.requests)
        super().answer(body=body)

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)

    def finish(self) -> None:
        super().finish()
        with self.server.lock:
            self.server.at_once -= 1

    def is_first_byte_only(self) -> bool:
        """Whether this is how the download program asks where a file is."""
        return self.headers.get("Range") == "bytes=0-0"

    def send_bytes(self, file: HubFile, first: int, end: int) -> None:
        content = bytearray(file.path.read_bytes()[first:end])
        self.send_pieces(self.spoil(content, first))

    def spoil(self, content: bytearray, first: int) -> bytearray:
        """Change what is sent."""
        return content

    def send_pieces(self, content: bytearray) -> None:
        for start in range(0, len(content), PIECE_BYTES):
            piece = content[start : start + PIECE_BYTES]
            self.wfile.write(piece)
            with self.server.lock:
                self.server.sent_bytes += len(piece)
            self.pause()

    def pause(self) -> None:
        """Wait between two pieces."""

    def end(self) -> None:
        """Cut the connection."""
        self.close_connection = True


class Cuts(Counted):
    """Ends every connection after 40 kB."""

    def spoil(self, content: bytearray, first: int) -> bytearray:
        self.end()
        return content[:40_000]


class HangsUp(Counted):
    """Takes each second request and closes without an answer."""

    def answer(self, *, body: bool) -> None:
        if self.server.sent_bytes and int(time.monotonic() * 1000) % 2:
            self.end()
            return
        super().answer(body=body)


class StallsAtFirst(Counted):
    """Sends half of an answer and then nothing, for its first eight answers."""

    def spoil(self, content: bytearray, first: int) -> bytearray:
        if len(content) > 1 and self.number < 8:
            self.wfile.write(content[: len(content) // 2])
            time.sleep(1)
            self.end()
            return bytearray()
        return content


class Stalls(Counted):
    """Promises everything and sends nothing."""

    def spoil(self, content: bytearray, first: int) -> bytearray:
        if len(content) > 1:
            self.wfile.flush()
            time.sleep(1)
            self.end()
            return bytearray()
        return content


class KnowsNoRanges(Counted):
    """Answers 200 with the whole file, whatever is asked."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        del self.headers["Range"]
        super().send_file(file, body=body)

    def pause(self) -> None:
        time.sleep(0.001)


class ForgetsRanges(KnowsNoRanges):
    """Answers 200 instead of 206 now and then."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        if self.number % 5 == 0:
            super().send_file(file, body=body)
        else:
            HubHandler.send_file(self, file, body=body)


class CutsWholeFiles(KnowsNoRanges):
    """Knows no ranges, and cuts the first two tries."""

    def spoil(self, content: bytearray, first: int) -> bytearray:
        if self.server.count("model.gguf") < 8:
            self.end()
            return content[: len(content) // 2]
        return content


class ForgetsRangesBesideAStall(Counted):
    """Stalls in one segment, and answers for another with the whole file, cut at once."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        with self.server.lock:
            number = self.server.good_signatures.get("segments", 0)
            if not self.is_first_byte_only() and "model.gguf" in self.path:
                self.server.good_signatures["segments"] = number + 1
        asked = not self.is_first_byte_only() and "model.gguf" in self.path
        self.stalls, self.cuts = asked and number == 0, asked and number == 1
        if self.cuts:
            del self.headers["Range"]
        super().send_file(file, body=body)

    def spoil(self, content: bytearray, first: int) -> bytearray:
        if self.stalls:
            self.wfile.flush()
            time.sleep(1.2)
        if self.cuts:
            self.end()
            return bytearray()
        return content

    def pause(self) -> None:
        # The run goes on for longer than the stall.
        time.sleep(0.35 if "mmproj" in self.path else 0.001)


class CutsOneWholeFile(Counted):
    """Answers one segment with the whole file, and cuts that in the middle of the segment."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        self.cuts = not self.is_first_byte_only() and "model.gguf" in self.path
        with self.server.lock:
            self.cuts = self.cuts and not self.server.good_signatures.get("cut")
            if self.cuts:
                self.server.good_signatures["cut"] = 1
        if self.cuts:
            del self.headers["Range"]
        super().send_file(file, body=body)

    def spoil(self, content: bytearray, first: int) -> bytearray:
        if self.cuts:
            # By now the other connections have nothing else to do than wait for this one.
            time.sleep(0.3)
            self.end()
            return content[:20_000]
        return content

    def pause(self) -> None:
        time.sleep(0.005)


class SaysNoRange(Counted):
    """Answers 206 without saying what it sends."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Content-Range" or self.is_first_byte_only():
            super().send_header(keyword, value)


class HasASickFile(Counted):
    """Has one of its files, and answers 503 for the bytes of the other, larger one."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        if "model.gguf" in self.path and not self.is_first_byte_only():
            self.refuse(503)
        else:
            super().send_file(file, body=body)


class Lies(Counted):
    """Says one length and range, and sends another."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length" and not self.is_first_byte_only():
            value = str(int(value) + 7)
        super().send_header(keyword, value)


class SendsAnotherRange(Counted):
    """Sends the right number of bytes from a wrong place."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Range" and not self.is_first_byte_only():
            value = value.replace("bytes ", "bytes 1")
        super().send_header(keyword, value)


class FlipsOneByte(Counted):
    """One wrong byte in the whole life of the hub."""

    flips = 1

    def spoil(self, content: bytearray, first: int) -> bytearray:
        with self.server.lock:
            flipped = self.server.good_signatures.get("flips", 0)
            if len(content) > 1 and flipped < self.flips:
                self.server.good_signatures["flips"] = flipped + 1
                content[len(content) // 2] ^= 1
        return content


class FlipsAlways(FlipsOneByte):
    """A wrong byte in every answer."""

    flips = 10**6


class Refuses(Counted):
    """Answers the first requests with a status."""

    status: ClassVar[int]
    times = 10**6
    headers_too: ClassVar[dict[str, str]] = {}
    after = 0

    def send_file(self, file: HubFile, *, body: bool) -> None:
        if self.after < self.number <= self.after + self.times:
            self.refuse(self.status, **self.headers_too)
        else:
            super().send_file(file, body=body)


class WantsAPause(Refuses):
    status, times, headers_too, after = 429, 3, {"Retry_After": "1"}, 3


class WantsALongPause(Refuses):
    status, headers_too, after = 429, {"Retry_After": "600"}, 3


class HasABadMinute(Refuses):
    status, times, after = 503, 12, 4


class IsDown(Refuses):
    status = 502


class WantsALogin(Refuses):
    status = 401


class Forbids(Refuses):
    status = 403


class HasItNot(Refuses):
    status = 404


class ObeysALaw(Refuses):
    status = 451


class HasItNoMore(Refuses):
    status, after = 416, 2


class HasAnother(Counted):
    """Has other bytes under the same revision, and says so."""

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, f'"{"0" * 64}"' if keyword == "X-Linked-Etag" else value)


class HasALongerOne(Counted):
    """Has a longer file under the same revision, and says so only where it must."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Range":
            head, _, size = value.rpartition("/")
            value = f"{head}/{int(size) + 5}"
        if not keyword.startswith("X-Linked"):
            super().send_header(keyword, value)


class GoesInCircles(Counted):
    """Redirects to itself."""

    def send_file(self, file: HubFile, *, body: bool) -> None:
        self.refuse(302, Location=self.path)


class HasSlowConnections(Counted):
    """Half of its connections give an eighth of what the others give, or less."""

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            number = self.server.good_signatures.get("connections", 0)
            self.server.good_signatures["connections"] = number + 1
        self.delay_s = 0.5 if number in (2, 3) else 0.004

    def pause(self) -> None:
        time.sleep(self.delay_s)


class Paced(Counted):
    """2 MB/s a connection."""

    def pause(self) -> None:
        time.sleep(PIECE_BYTES / 2e6)


class Brisk(Counted):
    """At most 16 MB/s a connection, so that little is under way when its reader is killed."""

    def pause(self) -> None:
        time.sleep(PIECE_BYTES / 16e6)


class Signs(Counted):
    """Redirects to a second host, with an address that is good for so many answers."""

    answers = 10**6

    def send_file(self, file: HubFile, *, body: bool) -> None:
        with self.server.lock:
            signature = f"s{len(self.server.good_signatures)}"
            self.server.good_signatures[signature] = self.answers
        path = urlsplit(self.path).path
        self.send_response(302)
        self.describe(file)
        self.send_header("Location", f"{self.server.cdn_url}{path}?signature={signature}")
        self.send_header("Content-Length", "0")
        self.end_headers()


class SignsForAMoment(Signs):
    answers = 5


class Cdn(Counted):
    """The second host: 403 when the signature is not good any more."""

    hub: ClassVar[Hub]

    def send_file(self, file: HubFile, *, body: bool) -> None:
        signature = urlsplit(self.path).query.removeprefix("signature=")
        with self.hub.lock:
            left = self.hub.good_signatures.get(signature, 0)
            self.hub.good_signatures[signature] = left - 1
        if left <= 0:
            self.refuse(403)
            return
        super().send_file(file, body=body)


class Forwards(Counted):
    """A host that redirects to the next one, without end when that is itself."""

    next_url: ClassVar[str]

    def send_file(self, file: HubFile, *, body: bool) -> None:
        self.refuse(302, Location=f"{self.next_url}{urlsplit(self.path).path}")


class RefusingProxy(Counted):
    """A proxy that opens no tunnel."""

    status: ClassVar[int]

    def do_CONNECT(self) -> None:  # noqa: N802 - http.server calls it so.
        self.refuse(self.status)
