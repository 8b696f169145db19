"""Preparing a photo: upright, small, sRGB, without metadata; or a failure class."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
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


def flat_png(width: int, height: int, *chunks: bytes) -> bytes:
    """A huge picture of one colour, without ever holding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * width)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
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
    assert sent(encoded(photo(1, (9000, 2)), "PNG")).size == (LONG_EDGE_PX, 1)


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


def test_200_megapixels_are_refused_fast_and_without_their_memory() -> None:
    content = flat_png(20_000, 10_000)
    assert len(content) < 1 << 20
    started = time.monotonic()
    with pytest.raises(PhotoError) as refused:
        prepare(content)
    assert refused.value.failure == "image_too_large"
    assert time.monotonic() - started < 1


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
    content = flat_png(64, 64, kind + head + bomb)
    program = (
        "import sys, resource;"
        "from ops.commands.bench.album.prepare import prepare, PhotoError;"
        "content = sys.stdin.buffer.read();"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: prepare(content); print('sent')\n"
        "except PhotoError as error: print(error.failure)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=content, capture_output=True, check=True
    )
    outcome, grown_kib = result.stdout.decode().split()
    assert outcome in ("sent", "image_unreadable")
    assert int(grown_kib) < 150 << 10


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
