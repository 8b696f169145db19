"""Preparing a photo: upright, small, sRGB, without metadata; or a failure class."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, features

from ops.commands.bench.album import prepare as module
from ops.commands.bench.album.prepare import (
    LONG_EDGE_PX,
    PhotoError,
    Prepared,
    looks_like_photo,
    metadata,
    prepare,
)
from tests.conftest import ROOT
from tests.ops.commands.bench.photo_files import (
    DATE_TIME_ORIGINAL,
    EXIF_IFD,
    ORIENTATION,
    decoded,
    distance,
    encoded,
    installed_photos,
    jpeg,
    photo,
)


def sent(content: bytes) -> Image.Image:
    prepared = prepare(content)
    image = decoded(prepared.content)
    assert image.format == "JPEG"
    assert image.size == (prepared.width, prepared.height)
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def flat_png(width: int, height: int, *chunks: bytes, bits: int = 24) -> bytes:
    """A huge picture of one colour, without ever holding its pixels."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (bits * width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    depth, colour = (8, 2) if bits == 24 else (bits, 0)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(part[:4], part[4:]) for part in chunks)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def test_the_long_edge_is_1024_and_a_small_photo_is_not_enlarged() -> None:
    assert sent(jpeg(photo(1, (4000, 3000)))).size == (1024, 768)
    assert sent(jpeg(photo(1, (300, 2000)))).size == (154, 1024)
    assert sent(jpeg(photo(1, (640, 480)))).size == (640, 480)
    assert sent(encoded(photo(1, (9000, 300)), "PNG")).size == (LONG_EDGE_PX, 34)


@pytest.mark.parametrize(
    ("size", "sent_size"),
    [
        ((32, 32), (32, 32)),
        ((32, 1024), (32, 1024)),
        ((20_000, 700), (1024, 36)),
        ((700, 20_000), (36, 1024)),
        ((1, 1), None),
        ((31, 500), None),
        ((1024, 2), None),
        ((2, 1024), None),
        ((60_000, 2), None),
        ((2, 60_000), None),
        ((60_000, 1000), None),
    ],
)
def test_a_picture_narrower_than_an_image_token_is_not_sent(
    size: tuple[int, int], sent_size: tuple[int, int] | None
) -> None:
    if sent_size is not None:
        assert sent(flat_png(*size)).size == sent_size
        return
    assert refusal(flat_png(*size)) == "image_too_small"


def refusal(content: bytes) -> str:
    with pytest.raises(PhotoError) as refused:
        prepare(content)
    return refused.value.failure


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "china", "flower"])
def test_a_real_photo_keeps_its_look(name: str) -> None:
    original = installed_photos()[name]
    assert distance(sent(jpeg(original, quality=95)), original) < 6


def test_every_orientation_gives_the_same_upright_picture() -> None:
    upright = installed_photos()["astronaut"].crop((0, 0, 512, 300))
    turned = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        for orientation, image in turned.items():
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            lossless = {"lossless": True} if image_format == "WEBP" else {}
            content = encoded(image, image_format, exif=exif, **lossless)
            if image_format == "JPEG":
                content = jpeg(image, quality=98, exif=exif)
            what = f"{image_format} {orientation}"
            assert ImageOps.exif_transpose(decoded(content)).size == upright.size, what
            assert distance(sent(content), upright) < 4, what


def test_no_metadata_leaves_the_machine() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKE"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 31.0)
    exif.get_ifd(0x8825)[29] = "SECRETGPS"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    content = jpeg(
        photo(2, (1500, 1000)),
        exif=exif,
        icc_profile=profile.tobytes() + b"SECRETICC",
        comment=b"SECRETCOMMENT",
        xmp=b"<x:xmpmeta>SECRETXMP</x:xmpmeta>",
        dpi=(321, 321),
    )
    assert content.count(b"SECRET") == 5
    prepared = prepare(content).content
    assert b"SECRET" not in prepared
    assert b"Exif" not in prepared
    assert b"ICC_PROFILE" not in prepared
    # No application segment but JFIF, and no comment.
    assert [segment for segment in segments(prepared) if 0xE1 <= segment <= 0xFE] == []
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRETTEXT")
    assert b"SECRET" not in prepare(encoded(photo(2), "PNG", pnginfo=text)).content


def segments(content: bytes) -> list[int]:
    markers, place = [], 2
    while content[place + 1] != 0xDA:
        markers.append(content[place + 1])
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return markers


def test_the_same_photo_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(photo(3, (2500, 1700))))
    program = (
        "import sys, pathlib; from ops.commands.bench.album.prepare import prepare;"
        "print(prepare(pathlib.Path(sys.argv[1]).read_bytes()).image_sha256)"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert digests == [prepare(path.read_bytes()).image_sha256] * 2


def test_a_wide_colour_profile_is_converted_to_srgb() -> None:
    # In a profile with red and green swapped, a red value looks green.
    image = Image.new("RGB", (64, 64), (230, 20, 20))
    swapped = swapped_profile()
    colour = np.asarray(sent(jpeg(image, quality=100, icc_profile=swapped)))[32, 32]
    assert colour[1] > 180
    assert colour[0] < 90


def swapped_profile() -> bytes:
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # The description says sRGB, which alone would mean no conversion.
    content = bytes(srgb).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    red, green = content.index(b"rXYZ"), content.index(b"gXYZ")
    table = bytearray(content)
    table[red : red + 4], table[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(table)


def test_a_broken_colour_profile_is_ignored() -> None:
    image = photo(4)
    assert distance(sent(jpeg(image, icc_profile=b"no profile" * 20)), image) < 6


def test_broken_metadata_does_not_fail_a_photo(recwarn: pytest.WarningsRecorder) -> None:
    image = photo(4)
    for exif in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0\xff",
        b"Exif\0\0",
    ):
        assert distance(sent(jpeg(image, exif=exif)), image) < 6
    assert list(recwarn) == []


def test_transparency_becomes_white() -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 40, 20))
    for image_format in ("PNG", "WEBP"):
        pixels = np.asarray(sent(encoded(image, image_format)))
        assert pixels[35, 20].min() > 245
        assert pixels[5, 20, 2] > 240
    for mode, blank in (("RGB", (255, 0, 0)), ("L", 76)):
        # One colour of the picture is declared transparent.
        opaque = Image.new(mode, (40, 40), blank)
        pixels = np.asarray(sent(encoded(opaque, "PNG", transparency=blank)))
        assert pixels[20, 20].min() > 245, mode
    palette = image.convert("RGB").convert("P")
    pixels = np.asarray(sent(encoded(palette, "GIF", transparency=palette.getpixel((5, 35)))))
    assert pixels[35, 20].min() > 245


def test_an_animation_becomes_its_first_frame() -> None:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "lime", "blue")]
    for image_format in ("GIF", "WEBP", "PNG"):
        content = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
        colour = np.asarray(sent(content))[25, 25]
        assert colour[0] > 240, image_format
        assert colour[1:].max() < 20, image_format


def test_grey_cmyk_palette_and_16_bit_photos_keep_their_colours() -> None:
    grey = installed_photos()["camera"].convert("L").resize((256, 256))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert distance(sent(encoded(grey, "PNG")), grey) < 4
    assert distance(sent(encoded(deep, "PNG")), grey) < 4
    assert distance(sent(encoded(deep, "TIFF")), grey) < 4
    bright = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    assert distance(sent(encoded(bright, "TIFF")), grey) < 5
    assert distance(sent(encoded(grey.convert("1"), "PNG")), grey.convert("1")) < 8
    colour = installed_photos()["chelsea"]
    palette = colour.quantize(200)
    assert distance(sent(encoded(palette, "PNG")), palette) < 6
    cmyk = colour.convert("CMYK")
    assert distance(sent(encoded(cmyk, "TIFF")), cmyk) < 6
    assert distance(sent(jpeg(cmyk)), cmyk) < 8


def test_16_bits_a_colour_are_reduced_to_8() -> None:
    values = np.full((40, 40, 3), (60_000, 30_000, 300), dtype=">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    expected = Image.new("RGB", (40, 40), (60_000 >> 8, 30_000 >> 8, 300 >> 8))
    assert distance(sent(content), expected) < 3


def test_a_picture_of_too_many_pixels_is_refused_by_its_header() -> None:
    square = flat_png(16_000, 16_000, bits=1)
    assert len(square) < 42_000
    small = jpeg(photo(1))
    frame = small.index(b"\xff\xc0") + 5
    huge_jpeg = small[:frame] + struct.pack(">HH", 60_000, 60_000) + small[frame + 4 :]
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    huge_png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(8))
    for content in (square, huge_jpeg, huge_png):
        picture, grown_mib = prepared_elsewhere(content)
        assert (picture, grown_mib < 20) == ("image_too_large", True)
    assert refusal(huge_png) == "image_too_large"
    assert Image.MAX_IMAGE_PIXELS is not None  # Pillow's own limit is back.


def test_a_phones_108_megapixels_are_decoded_at_an_eighth() -> None:
    """Larger than Pillow's own limit, too: phones also take 200."""
    for size in ((12_000, 9000), (16_384, 12_288)):
        content = jpeg(Image.new("L", size, 200))
        picture, grown_mib = prepared_elsewhere(content)
        assert picture == "1024x768"
        assert grown_mib < 60
    # All scans of a progressive one would be in memory at once.
    content = content.replace(b"\xff\xc0", b"\xff\xc2", 1)
    assert prepared_elsewhere(content)[0] == "image_too_large"


@pytest.mark.parametrize("mode", ["LA", "I;16"])
def test_a_mode_that_must_be_converted_is_converted_in_bands(mode: str) -> None:
    megapixels = 39
    picture, grown_mib = prepared_elsewhere(encoded(Image.new(mode, (6200, 6200)), "PNG"))
    assert picture == "1024x1024"
    assert grown_mib < 7 * megapixels


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F"])
def test_bands_do_not_change_the_picture(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.asarray(photo(3, (3201, 1201)).convert("L"))
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(values.astype(np.float32) * 7 - 300)
    else:
        image = photo(3, (3201, 1201)).convert(mode)
    content = encoded(image, "TIFF" if mode == "F" else "PNG")
    whole = prepare(content)
    monkeypatch.setattr(module, "_BAND_PIXELS", 100_000)
    assert prepare(content) == whole


def prepared_elsewhere(content: bytes) -> tuple[str, int]:
    """Prepare a picture in a fresh process: its size or failure, and the memory in MiB."""
    # Not by getrusage: it counts what the parent held before it became this process.
    program = (
        "import re, sys, pathlib\n"
        "from ops.commands.bench.album.prepare import prepare, PhotoError\n"
        "def most_kib():\n"
        "    status = pathlib.Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+)', status)[1])\n"
        "content = sys.stdin.buffer.read()\n"
        "before = most_kib()\n"
        "try: sent = prepare(content); print(f'{sent.width}x{sent.height}')\n"
        "except PhotoError as error: print(error.failure)\n"
        "print(most_kib() - before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=content, capture_output=True, check=True
    )
    picture, grown_kib = result.stdout.decode().split()
    return picture, int(grown_kib) >> 10


def test_a_picture_below_the_pixel_limit_is_decoded_and_one_above_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LARGEST_PIXELS", 1_000_000)
    assert sent(flat_png(1000, 1000)).size == (1000, 1000)
    with pytest.raises(PhotoError) as refused:
        prepare(flat_png(1001, 1000))
    assert refused.value.failure == "image_too_large"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_bomb_in_a_text_chunk_neither_fills_the_memory_nor_ends_the_run(kind: bytes) -> None:
    bomb = zlib.compress(b"\0" * (300 << 20), 9)
    head = b"Comment\0\0" if kind != b"iTXt" else b"Comment\0\1\0\0\0"
    picture, grown_mib = prepared_elsewhere(flat_png(64, 64, kind + head + bomb))
    assert picture == ("image_unreadable" if kind == b"iCCP" else "64x64")
    assert grown_mib < 150


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_a_long_text_in_a_png_does_not_hide_its_picture_or_rating(
    tmp_path: Path, kind: bytes
) -> None:
    """Image generators write their whole workflow into the file."""
    text = b'{"prompt": "a lighthouse"}' * 100_000
    chunks = {
        b"tEXt": b"tEXtworkflow\0" + text * 30,
        b"zTXt": b"zTXtworkflow\0\0" + zlib.compress(text),
        b"iTXt": b"iTXtworkflow\0\1\0\0\0" + zlib.compress(text),
    }
    rated = b'iTXtXML:com.adobe.xmp\0\0\0\0\0<rdf:Description xmp:Rating="4"/>'
    content = flat_png(64, 48, chunks[kind], rated, chunks[kind])
    assert sent(content).size == (64, 48)
    path = tmp_path / "generated.png"
    path.write_bytes(content)
    assert metadata(path).rating == 4


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_its_end_is_sent_as_a_viewer_shows_it(progressive: bool) -> None:
    image = installed_photos()["astronaut"]
    whole = jpeg(image, progressive=progressive)
    for missing in (1, 2, 20, len(whole) // 20):
        assert distance(sent(whole[:-missing]), image) < 8
    if not progressive:
        assert refusal(whole[: len(whole) // 2]) == "image_unreadable"
    assert refusal(whole[:700]) == "image_unreadable"


def test_a_second_picture_in_the_file_is_ignored() -> None:
    first, second = photo(1), photo(2)
    content = encoded(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert decoded(content).format == "MPO"
    assert distance(sent(content), first) < 4


@pytest.mark.parametrize(
    "content",
    [
        jpeg(photo(5, (800, 600)))[:4000],
        jpeg(photo(5, (800, 600)))[:20],
        encoded(photo(5), "PNG")[:-200],
        encoded(photo(5), "WEBP")[:100],
        b"",
        b"not a picture",
        b"<html><body>login</body></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run",
        b"\xff\xd8\xff" + bytes(range(256)) * 40,
        b"GIF89a" + b"\xff" * 300,
        b"II*\0" + b"\xff" * 300,
    ],
)
def test_a_broken_picture_has_a_failure_class(content: bytes) -> None:
    with pytest.raises(PhotoError) as refused:
        prepare(content)
    assert refused.value.failure == "image_unreadable"


def test_random_damage_gives_a_failure_class_or_a_picture() -> None:
    chance = np.random.default_rng(7)
    formats = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"]
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    contents = [encoded(photo(6), image_format) for image_format in formats] + [
        jpeg(photo(6), exif=exif)
    ]
    refused = 0
    for content in contents:
        for _ in range(40):
            damaged = bytearray(content)
            for place in chance.integers(0, min(len(damaged), 600), 8):
                damaged[place] = chance.integers(0, 256)
            try:
                assert isinstance(prepare(bytes(damaged)), Prepared)
            except PhotoError:
                refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(64),
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(64),
        b"FUJIFILMCCD-RAW 0201" + bytes(64),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(64),
    ],
)
def test_heic_and_raw_have_their_own_failure_class(content: bytes) -> None:
    assert looks_like_photo(content[:32])
    with pytest.raises(PhotoError) as refused:
        prepare(content)
    assert refused.value.failure == "image_unsupported"


def test_the_preview_within_a_raw_file_is_not_taken_for_the_photo() -> None:
    content = encoded(photo(8, (160, 120)), "TIFF", tiffinfo={254: 1})
    with pytest.raises(PhotoError) as refused:
        prepare(content)
    assert refused.value.failure == "image_unsupported"


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_decoded() -> None:
    content = encoded(photo(9), "AVIF")
    assert looks_like_photo(content[:32])
    assert distance(sent(content), photo(9)) < 8


@pytest.mark.parametrize(
    "image_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000"]
)
def test_a_picture_is_recognised_by_its_first_bytes(image_format: str) -> None:
    assert looks_like_photo(encoded(photo(1), image_format)[:32])


def test_other_files_are_not_recognised_as_pictures() -> None:
    for content in (b"", b"name,favourite\n", b"\0\0\0\x18ftypisom", b"RIFF\0\0\0\0AVI ", b"PK"):
        assert not looks_like_photo(content)


def test_time_and_rating_are_read_from_the_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] = "2026:05:01 12:00:00"
    exif.get_ifd(EXIF_IFD)[0x9011] = "+02:00"
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(photo(1), exif=exif, xmp=b'<rdf:Description xmp:Rating="4"/>'))
    details = metadata(path)
    assert details.taken_at == 1777629600.0
    assert details.rating == 4
    exif = Image.Exif()
    exif[0x0132] = "2026:05:01 10:00:00"
    path.write_bytes(jpeg(photo(1), exif=exif, xmp=b"<xmp:Rating>-1</xmp:Rating>"))
    assert metadata(path).taken_at == 1777629600.0
    assert metadata(path).rating == -1
    for text in ("    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"):
        exif[0x0132] = text
        path.write_bytes(jpeg(photo(1), exif=exif))
        assert metadata(path).taken_at is None
    path.write_bytes(b"no picture")
    assert metadata(path).rating is None


def test_similar_photos_have_a_similar_look() -> None:
    photos = installed_photos()
    looks = {name: prepare(jpeg(image)).look for name, image in photos.items()}
    for name in ("astronaut", "coffee", "china"):
        again = photos[name].point(lambda value: min(255, value + 12))
        assert (prepare(jpeg(again, quality=60)).look ^ looks[name]).bit_count() <= 6
        others = [look for other_name, look in looks.items() if other_name != name]
        assert min((look ^ looks[name]).bit_count() for look in others) > 6


def test_a_progressive_photo_of_12_megapixels_is_reduced() -> None:
    content = jpeg(installed_photos()["astronaut"].resize((4000, 3000)), progressive=True)
    assert decoded(content).info.get("progressive")
    assert len(prepare(content).content) < 300_000
