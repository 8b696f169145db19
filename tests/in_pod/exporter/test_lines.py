"""Lines of a stream, in whatever pieces they come, and none that is too long."""

from __future__ import annotations

import random
import tracemalloc

from in_pod.exporter.lines import Lines


def test_lines_come_whole_from_any_pieces() -> None:
    random_ = random.Random(7)
    for _ in range(200):
        lines = [
            bytes(random_.choices(b"ab\r:", k=random_.randrange(20)))
            for _ in range(random_.randrange(1, 9))
        ]
        stream = b"".join(line + b"\n" for line in lines) + b"rest"
        split = Lines(50)
        found: list[bytes] = []
        while stream:
            size = random_.randrange(1, 12)
            found += split.feed(stream[:size])
            stream = stream[size:]
        assert found == lines
        assert split.skipped == 0


def test_a_line_of_the_limit_is_kept_and_a_longer_one_skipped() -> None:
    for piece in (1, 3, 100):
        split = Lines(10)
        stream = b"a" * 10 + b"\n" + b"b" * 11 + b"\n" + b"c\n" + b"d" * 5000 + b"\n\n" + b"e" * 30
        found: list[bytes] = []
        while stream:
            found += split.feed(stream[:piece])
            stream = stream[piece:]
        assert found == [b"a" * 10, b"c", b""]
        assert split.skipped == 3


def test_an_endless_line_takes_no_memory() -> None:
    split, chunk = Lines(1 << 20), b"x" * (64 << 10)
    tracemalloc.start()
    try:
        for _ in range(1600):
            assert not list(split.feed(chunk))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert list(split.feed(b"\nnext\n")) == [b"next"]
    assert split.skipped == 1
