from __future__ import annotations

import asyncio
import base64
import copy
import io
import json
import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from in_pod.gateway import pictures
from in_pod.gateway.picture_header import (
    Header,
    NotAPictureError,
    TruncatedError,
    check_png_data,
    read_header,
)
from in_pod.gateway.policy import Pictures
from in_pod.gateway.refusal import RefusedError
from ops.endpoint.pictures import data_uri, solid_picture

LIMITS = Pictures(number=3, bytes=50_000, pixels=10_000, internal_ranges=())
RED = solid_picture("red")
TEXT = base64.b64encode(RED).decode()
URI = data_uri(RED)


def drawn(image_format: str, width: int = 37, height: int = 11, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(content, image_format, **options)
    return content.getvalue()


def chat(*urls: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]}


def bound(body: Any, limits: Pictures = LIMITS, fetch: pictures.Fetch | None = None) -> bool:
    return asyncio.run(pictures.bound(body, limits, fetch))


def refusal(body: Any, status: int, *words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        bound(body)
    assert refused.value.status == status
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


SOURCE = {"type": "base64", "media_type": "image/png", "data": TEXT}
BODIES: dict[str, Any] = {
    "chat": chat(URI),
    "chat, a string": {"messages": [{"content": [{"type": "image_url", "image_url": URI}]}]},
    "responses": {"input": [{"content": [{"type": "input_image", "image_url": URI}]}]},
    "responses, an object": {"input": [{"type": "input_image", "image_url": {"url": URI}}]},
    "messages": {"messages": [{"content": [{"type": "image", "source": SOURCE}]}]},
    "a tool's result": {
        "content": [{"type": "tool_result", "content": [{"type": "image", "source": SOURCE}]}]
    },
    "completion": {"prompt": {"prompt_string": "a", "multimodal_data": [TEXT]}},
    "completion, several prompts": {"prompt": [{"prompt_string": "a", "multimodal_data": [TEXT]}]},
    "completion, an object": {"prompt": {"prompt_string": "a", "multimodal_data": {"x": TEXT}}},
    "completion, a string": {"prompt": {"prompt_string": "a", "multimodal_data": TEXT}},
    "embeddings": {"input": [{"type": "image_url", "image_url": {"url": URI}}]},
    "deep": json.loads('{"a":' * 400 + json.dumps(chat(URI)) + "}" * 400),
}  # fmt: skip


def replaced(body: Any, text: str) -> Any:
    """Return a body with another picture."""
    return json.loads(json.dumps(body).replace(TEXT, text))


@pytest.mark.parametrize("name", BODIES)
def test_a_picture_is_found_in_each_clients_format(name: str) -> None:
    body = copy.deepcopy(BODIES[name])
    assert bound(body) is False
    assert body == BODIES[name]
    large = base64.b64encode(drawn("PNG", 101, 100)).decode()
    refusal(replaced(body, large), 413, "101 x 100 pixels", "10,000")
    webp = base64.b64encode(drawn("WEBP")).decode()
    refusal(replaced(body, webp), 400, "WEBP", "expected JPEG", "Convert")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "image_url"},
        {"messages": [{"role": "user", "content": "data:image/png;base64,AAAA"}]},
        # Schemas and arguments of tools, which may have such names.
        {"tools": [{"parameters": {"properties": {"image_url": {"type": "string"}}}}]},
        {"messages": [{"tool_calls": [{"type": "function", "image_url": "https://a.example"}]}]},
        {"content": [{"type": "tool_use", "input": {"url": "https://a.example", "source": "x"}}]},
        {"messages": [{"content": [{"type": ["image_url"]}, {"type": None}, {"type": {}}]}]},
        {"content": [{"type": "tool_use", "input": {"type": "file", "path": "/tmp"}}]},
        {"content": [{"type": "tool_use", "input": {"type": "document", "source": "a.md"}}]},
        {"multimodal_data": None, "prompt": "a"},
    ],
)
def test_text_and_tools_are_no_pictures(body: Any) -> None:
    assert bound(body) is False


@pytest.mark.parametrize(
    "written",
    [
        f"data:image/png;base64,{TEXT[:40]}\n{TEXT[40:80]}\r\n {TEXT[80:]}",
        f"data:image/png;base64,{TEXT.replace('+', '-').replace('/', '_')}",
        f"data:image/png;base64,{TEXT.rstrip('=')}",
        f"data:image/png;base64,{TEXT.replace('+', '%2B').replace('/', '%2F')}",
        f"data:;base64,{TEXT}",
        f"data:image/jpeg;base64,{TEXT}",
        f"data:image/png;charset=utf-8;base64,{TEXT}",
        f"DATA:image/png;BASE64,{TEXT}",
        f"data:application/octet-stream;base64,{TEXT}",
        TEXT,
    ],
    ids=range(10),
)  # fmt: skip
def test_how_a_picture_is_written_is_repaired(written: str) -> None:
    body = chat(written)
    assert bound(body) is True
    assert body == chat(URI)
    source = {"type": "base64", "data": written}
    body = {"content": [{"type": "image", "source": source}]}
    assert bound(body) is True
    assert body["content"][0]["source"] == SOURCE


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("data:image/png,abc", "without base64"),
        ("data:image/png;base64", "unknown kind"),
        ("data:image/png;base64,", "unknown kind"),
        ("data:image/svg+xml;base64,PHN2Zz4=", "unknown kind"),
        ("data:image/png;base64,!!!!", "malformed base64"),
        ("data:image/png;base64,\u00e9\u00e9\u00e9\u00e9", "malformed base64"),
        ("data:image/png;base64," + TEXT[:28], "truncated"),
        ("file:///etc/passwd", "malformed base64"),
        ("/etc/passwd", "unknown kind"),
        ("", "missing"),
        (None, "missing"),
        (7, "missing"),
        (["https://a.example"], "missing"),
        ({}, "missing"),
    ],
)
def test_what_is_no_picture_is_refused(written: Any, word: str) -> None:
    refusal(chat(written), 400, word, "expected JPEG, PNG, GIF or BMP")


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "ICO", "PPM", "JPEG2000", "AVIF"])
def test_other_kinds_are_refused(kind: str) -> None:
    refusal(chat(data_uri(drawn(kind))), 400, "Convert it")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": None},
        {"type": "image_url", "image_url": {}},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "image", "source": {"type": "other"}},
        {"type": "image", "source": {}},
        {"type": "image_url", "image_url": {"url": URI, "url ": 1}} | {"image_url": {"URL": URI}},
    ],
)
def test_a_part_without_a_picture_is_refused(part: Any) -> None:
    refusal({"messages": [{"content": [part]}]}, 400, "missing")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        *(
            (kind, kind)
            for kind in ("input_audio", "input_video", "video_url", "audio_url", "file")
        ),
        ("document", "source"),
    ],
)
def test_other_media_are_refused(kind: str, key: str) -> None:
    part = {"type": kind, key: {"url": "https://a.example", "data": TEXT}}
    refusal({"messages": [{"content": [part]}]}, 400, kind, "pictures")


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "https://a.example"},
        {"type": "base64", "media_type": "image/png", "data": TEXT},
        {"type": "text", "media_type": "text/plain", "data": "a"},
        {},
    ],
    ids=lambda source: str(source.get("type")),
)
def test_a_document_is_refused_wherever_a_client_puts_it(source: Any) -> None:
    document = {"type": "document", "source": source}
    for part in (document, {"type": "tool_result", "content": [document]}):
        refusal({"messages": [{"content": [part]}]}, 400, "'document'", "pictures")


def test_pictures_are_counted_and_weighed() -> None:
    assert bound(chat(URI, URI, URI)) is False
    refusal(chat(URI, URI, URI, URI), 413, "4 pictures", "at most 3")
    noise = random.Random(1).randbytes(3 * 99 * 99)
    content = io.BytesIO()
    Image.frombytes("RGB", (99, 99), noise).save(content, "BMP")
    assert bound(chat(data_uri(content.getvalue()))) is True  # Its media type is repaired.
    heavy = content.getvalue() + bytes(LIMITS.bytes + 1 - len(content.getvalue()))
    refusal(chat(data_uri(heavy)), 413, "50,001 bytes", "50,000")
    assert bound(chat(data_uri(heavy[:-1]))) is True


@pytest.mark.parametrize("scheme", ["http://", "https://", "HTTP://", "httpx:", "http:"])
def test_an_address_is_fetched_or_refused(scheme: str) -> None:
    fetched: list[str] = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return RED

    url = f"{scheme}a.example/red.png"
    source = {"type": "url", "url": url}
    for body, after in (
        (chat(url), chat(URI)),
        ([{"type": "image", "source": source}], [{"type": "image", "source": SOURCE}]),
        (
            [{"type": "input_image", "image_url": url}],
            [{"type": "input_image", "image_url": URI}],
        ),
    ):
        refusal(copy.deepcopy(body), 403, "address of a picture", "remote_images")
        assert bound(body, fetch=fetch) is True
        assert body == after
    assert fetched == [url] * 3
    # llama.cpp's own field has base64 only.
    refusal({"prompt": {"prompt_string": "a", "multimodal_data": [url]}}, 400, "malformed")


def test_addresses_are_fetched_together_and_each_once() -> None:
    waiting: list[str] = []

    async def fetch(url: str) -> bytes:
        waiting.append(url)
        while len(waiting) < 2:
            await asyncio.sleep(0)
        return RED

    body = chat("https://a.example", "https://b.example", "https://a.example")
    assert asyncio.run(asyncio.wait_for(pictures.bound(body, LIMITS, fetch), 5)) is True
    assert sorted(waiting) == ["https://a.example", "https://b.example"]
    assert body == chat(URI, URI, URI)


def test_no_picture_is_fetched_for_a_refused_request() -> None:
    ended: list[str] = []

    async def fetch(url: str) -> bytes:
        if url == "https://a.example":
            raise RefusedError(400, "remote_picture", "the picture is gone")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(url)
        raise AssertionError

    async def run() -> None:
        body = chat("https://b.example", "https://a.example", "https://c.example")
        with pytest.raises(RefusedError, match="is gone"):
            await pictures.bound(body, LIMITS, fetch)
        await asyncio.sleep(0)
        assert sorted(ended) == ["https://b.example", "https://c.example"]

    asyncio.run(run())


def test_an_address_of_something_else_is_refused() -> None:
    async def fetch(url: str) -> bytes:
        return b"<html>"

    with pytest.raises(RefusedError, match="unknown kind"):
        bound(chat("https://a.example"), fetch=fetch)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000)}),
        ("JPEG", {"icc_profile": bytes(300_000)}),
    ],
)
def test_the_size_is_the_one_that_pillow_reads(kind: str, options: dict[str, Any]) -> None:
    data = drawn(kind, **options)
    header = Header(kind=kind.lower(), width=37, height=11)  # type: ignore[arg-type]
    assert read_header(data) == header
    # However little of it there is.
    for length in range(0, min(len(data), 3000)):
        try:
            assert read_header(data[:length]) == header
        except (TruncatedError, NotAPictureError):
            assert length < len(data)


def test_a_size_behind_long_segments_is_read() -> None:
    data = drawn("JPEG", icc_profile=bytes(300_000))
    limits = Pictures(number=1, bytes=10**6, pixels=10_000, internal_ranges=())
    assert bound(chat(data_uri(data, "image/jpeg")), limits) is False
    large = drawn("JPEG", 120, 100, icc_profile=bytes(300_000))
    with pytest.raises(RefusedError, match="120 x 100"):
        bound(chat(data_uri(large)), limits)


def test_a_bmp_may_be_upside_down() -> None:
    data = bytearray(drawn("BMP"))
    data[22:26] = struct.pack("<i", -11)
    assert read_header(bytes(data)).pixels == 37 * 11
    core = b"BM" + bytes(12) + struct.pack("<IHH", 12, 37, 11)
    assert read_header(core).pixels == 37 * 11
    data[18:22] = struct.pack("<i", -37)
    with pytest.raises(NotAPictureError):
        read_header(bytes(data))


@pytest.mark.parametrize("seed", range(5))
def test_damaged_pictures_end_in_an_error_or_a_size(seed: int) -> None:
    draw = random.Random(seed)
    originals = [
        *(drawn(kind) for kind in ("PNG", "GIF", "BMP", "JPEG")),
        drawn("JPEG", progressive=True, icc_profile=bytes(3000)),
    ]
    for _ in range(3000):
        data = bytearray(draw.choice(originals))
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.choice((0, 255, draw.randrange(256)))
        cut = bytes(data[: draw.randint(0, len(data))])
        try:
            assert read_header(cut).pixels > 0
        except (NotAPictureError, TruncatedError):
            continue


@pytest.mark.parametrize("seed", range(3))
def test_a_size_that_pillow_reads_is_not_read_smaller(seed: int) -> None:
    """Whatever is damaged: what a decoder allocates, the check has counted."""
    draw = random.Random(seed)
    # Pillow enlarges a GIF for a frame outside of it, which llama-server refuses.
    originals = [drawn(kind) for kind in ("PNG", "BMP", "JPEG")]
    compared = 0
    for _ in range(2000):
        data = bytearray(draw.choice(originals))
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(min(len(data), 64))] = draw.randrange(256)
        try:
            header = read_header(bytes(data))
            with Image.open(io.BytesIO(data), formats=["PNG", "GIF", "BMP", "JPEG"]) as image:
                width, height = image.size
        except (NotAPictureError, TruncatedError, OSError, SyntaxError, ValueError, struct.error):
            continue
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            continue
        compared += 1
        assert header.pixels >= width * height
    assert compared > 100


def bomb(size: int, width: int = 4, height: int = 4) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packed = zlib.compress(bytes(size), 9)
    parts = [chunk(b"IDAT", packed[at : at + 5000]) for at in range(0, len(packed), 5000)]
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + chunk(b"IEND", b"")


def test_a_png_that_inflates_to_more_than_its_size_is_refused() -> None:
    data = bomb(20_000_000)
    assert len(data) < LIMITS.bytes
    refusal(chat(data_uri(data)), 400, "more data than its size says")
    with pytest.raises(NotAPictureError):
        check_png_data(bomb(1000), read_header(bomb(1000)))


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"compress_level": 0}])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_each_png_of_pillow_passes(mode: str, options: dict[str, Any]) -> None:
    content = io.BytesIO()
    Image.new(mode, (90, 70)).save(content, "PNG", **options)
    data = content.getvalue()
    check_png_data(data, read_header(data))


def test_a_png_with_damaged_data_is_refused() -> None:
    data = bytearray(bomb(100))
    at = data.index(b"IDAT") + 4
    data[at : at + 2] = b"\xff\xff"
    with pytest.raises(NotAPictureError, match="damaged"):
        check_png_data(bytes(data), read_header(bytes(data)))
