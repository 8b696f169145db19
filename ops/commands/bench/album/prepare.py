"""Turn one photo's bytes into what is sent: upright, small, sRGB, and nothing but pixels.

All models get the same bytes, so that none of them resizes by itself, and the owner's location
and camera stay private. With the same Pillow, the same photo gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, features

from ops.commands.bench.results import Failure

LONG_EDGE_PX = 1024
JPEG_QUALITY = 85
SHORT_EDGE_PX = 32
"""A picture that is narrower once it is shrunk does not count as a photo: it would be less than
one image token, and llama.cpp before #21711 ends at an edge of 1 px."""
LARGEST_FILE_BYTES = 512 << 20
LARGEST_PIXELS = 100_000_000
"""Larger photos are not decoded: 100 megapixels take up to 500 MiB of memory."""
_LARGEST_PIXELS_OF = {
    "JPEG": 500_000_000,
    "MPO": 500_000_000,
    "WEBP": 50_000_000,
    "JPEG2000": 50_000_000,
}
"""libjpeg decodes large JPEGs at an eighth of their edges, in less than 60 MiB; the decoders of
WebP and JPEG 2000 take up to 19 bytes a pixel. An MPO is a JPEG with others behind it."""
RESIZE_RULE = (
    f"upright, long edge at most {LONG_EDGE_PX} px (LANCZOS, never enlarged), sRGB, on white, "
    f"JPEG {JPEG_QUALITY} 4:2:0, no metadata; Pillow {PIL.__version__}, "
    f"libjpeg {features.version('jpg')}"
)
"""Recorded in the run's provenance: another Pillow may write other bytes."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
"""The decoded formats. EPS is missing, because it runs a program; so are container formats."""
_MAGIC = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x0cjP  ",
)
_REDUCING_GAP = 3.0
"""A picture is averaged down to so many times its final size, and resampled from there."""
_BAND_PIXELS = 1 << 20
_JPEG_MAGIC, _PNG_MAGIC = _MAGIC[:2]
_JPEG_END = b"\xff\xd9"
_TORN_SHARE = 0.25
"""A JPEG whose lower part is missing is sent if it is smaller than this."""
_NETPBM = re.compile(rb"P[1-6][\s#]")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb")
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_READ_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")
_NEW_SUBFILE_TYPE, _DNG_VERSION = 254, 50706
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP_RATING = re.compile(rb"xmp:Rating\s*(?:=\s*[\"']|>)\s*(-1|[1-5])(?:\.0*)?\s*[\"'<]")
_HASH_EDGE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A photo as it is sent."""

    content: bytes
    """The JPEG."""
    image_sha256: str
    width: int
    height: int
    look: int
    """64 bits; similar photos differ in few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata of a photo's file that `bench` uses."""

    taken_at: float | None = None
    """Seconds since 1970; without a time zone in the file, as if it were UTC."""
    rating: int | None = None
    """1 to 5, -1 rejected; None: unrated."""


class PhotoError(Exception):
    """A photo that cannot be prepared."""

    def __init__(self, failure: Failure) -> None:
        """Take the class of failure."""
        super().__init__(failure)
        self.failure: Failure = failure


def looks_like_photo(head: bytes) -> bool:
    """Recognise a picture by its first 32 bytes."""
    return (
        head.startswith((*_MAGIC, *_RAW_MAGIC, b"BM"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or _NETPBM.match(head) is not None
        or (head[4:8] == b"ftyp" and head[8:12] in (*_HEIF_BRANDS, b"avif", b"avis", b"crx "))
    )


def prepare(content: bytes) -> Prepared:
    """Prepare one photo. Not thread-safe: it switches Pillow's warnings and limits off.

    Raises:
        PhotoError: when it is not a picture, broken, too large, too small, or of an unsupported
            format.
    """
    try:
        return _prepare(content)
    except PhotoError as error:
        if error.failure != "image_unreadable" or not content.startswith(_JPEG_MAGIC):
            raise
        # As a viewer does: libjpeg fills what is missing before the end.
        return _prepare(content + _JPEG_END, is_torn=True)


def _prepare(content: bytes, *, is_torn: bool = False) -> Prepared:
    with _decoding(io.BytesIO(content), content[:32]) as image:
        size = _sent_size(image.size)
        if min(size) < SHORT_EDGE_PX:
            raise PhotoError("image_too_small")
        # libjpeg itself decodes to a half, a quarter or an eighth, in a third of the time.
        image.draft(None, size)
        image.load()
        if is_torn and _missing_share(image) > _TORN_SHARE:
            raise PhotoError("image_unreadable")
        pixels = _flat(image, size)
        if pixels.size != size:
            pixels = pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
        sent = _in_srgb(_on_white(pixels), image.info.get("icc_profile"))
        # Read late: a PNG may store it after its pixels, and Pillow has turned a TIFF already.
        turn = _UPRIGHT.get(_exif(image).get(ExifTags.Base.Orientation, 1))
        if turn is not None:
            sent = sent.transpose(turn)
        sent.info.clear()
        encoded = io.BytesIO()
        sent.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        return Prepared(
            content=encoded.getvalue(),
            image_sha256=hashlib.sha256(encoded.getvalue()).hexdigest(),
            width=sent.width,
            height=sent.height,
            look=_look(sent),
        )


def metadata(path: Path) -> Metadata:
    """Read a photo's time and rating without decoding its pixels; None: not readable."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            return Metadata()
        with path.open("rb") as file, _decoding(file, file.read(32)) as image:
            exif = _exif(image)
            xmp = image.info.get("xmp", b"")
            return Metadata(taken_at=_taken_at(exif), rating=_rating(exif, xmp))
    except (PhotoError, OSError):
        return Metadata()


@contextmanager
def _decoding(file: IO[bytes], head: bytes) -> Iterator[Image.Image]:
    """Open a picture, and turn whatever its decoder raises into a class of failure."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise PhotoError("image_unsupported")
    if head.startswith(_RAW_MAGIC) or head[4:12] == b"ftypcrx " or head[8:10] == b"CR":
        raise PhotoError("image_unsupported")
    file.seek(0)
    if head.startswith(_PNG_MAGIC):
        file = _without_texts(file)
    with warnings.catch_warnings(), _without_pillows_limit():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=_decoded_formats()) as image:
                if image.width * image.height > _largest_pixels(image):
                    raise PhotoError("image_too_large")
                tags = getattr(image, "tag_v2", {})
                # Pillow would decode the small preview that is stored before the raw picture.
                if image.format == "TIFF" and (
                    tags.get(_NEW_SUBFILE_TYPE, 0) == 1 or _DNG_VERSION in tags
                ):
                    raise PhotoError("image_unsupported")
                yield image
        except PhotoError:
            raise
        except Exception as error:
            # Decoders raise anything their parsers run into: OSError, SyntaxError, ValueError,
            # struct.error, zlib.error, KeyError, and more.
            raise PhotoError("image_unreadable") from error


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Let Pillow open the header of a picture of any size: the limits here know the format."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _largest_pixels(image: Image.Image) -> int:
    # All scans of a progressive JPEG are in memory at once.
    if "progressive" in image.info:
        return LARGEST_PIXELS
    return _LARGEST_PIXELS_OF.get(image.format or "", LARGEST_PIXELS)


def _without_texts(file: IO[bytes]) -> IO[bytes]:
    """Return a PNG without texts: image generators write longer ones than Pillow accepts."""
    content = memoryview(file.read())
    kept = io.BytesIO()
    kept.write(content[: len(_PNG_MAGIC)])
    begin = len(_PNG_MAGIC)
    while begin < len(content):
        end = begin + 12 + int.from_bytes(content[begin : begin + 4], "big")
        keyword = bytes(content[begin + 8 : begin + 8 + 80]).partition(b"\0")[0]
        if content[begin + 4 : begin + 8] not in _PNG_TEXTS or keyword in _READ_TEXTS:
            kept.write(content[begin:end])
        begin = end
    kept.seek(0)
    return kept


def _missing_share(image: Image.Image) -> float:
    """Return the share of a picture's rows at its end that have one colour, as libjpeg fills."""
    rows = np.asarray(image)
    rows = rows.reshape(len(rows), -1, len(image.getbands()))
    drawn = np.flatnonzero((rows != rows[-1, -1]).any(axis=(1, 2)))
    return 1 - (drawn[-1] + 1) / len(rows) if len(drawn) else 1.0


def _decoded_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _sent_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONG_EDGE_PX / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _flat(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Convert a picture to a mode that can be resized: L, RGB, RGBA or CMYK, 8 bits each.

    A picture of another mode is converted and reduced in bands: a whole copy of it in that mode
    would take several times its memory.

    Args:
        image: The picture.
        size: Of the picture that is sent; a large picture stays three times as large, or larger.
    """
    if image.mode in ("L", "RGB", "CMYK") and "transparency" not in image.info:
        return image
    factor = max(1, int(min(image.width / size[0], image.height / size[1]) / _REDUCING_GAP))
    rows = factor * max(1, _BAND_PIXELS // (image.width * factor))
    boxes = [
        (0, top, image.width, min(top + rows, image.height))
        for top in range(0, image.height, rows)
    ]
    # 16-bit values scale by their range; floats have none and scale by their maximum.
    brightest = 65535.0
    if image.mode == "F":
        brightest = max(1.0, *(float(_values(image.crop(box)).max()) for box in boxes))
    whole = None
    for box in boxes:
        band = _eight_bits(image.crop(box), brightest).reduce(factor)
        if whole is None:
            whole = Image.new(band.mode, (band.width, math.ceil(image.height / factor)))
        whole.paste(band, (0, box[1] // factor))
    assert whole is not None  # noqa: S101 - for the type checker.
    return whole


def _values(image: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)


def _eight_bits(image: Image.Image, brightest: float) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.clip(_values(image) / brightest, 0, 1) * 255
        return Image.fromarray(values.astype(np.uint8))
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply a picture's colour profile, unless it is broken or of another mode."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
                return image.convert("RGB") if converted is None else converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    return image.convert("RGB")


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:
        # The picture is intact even if its metadata is broken.
        return Image.Exif()


def _taken_at(exif: Image.Exif) -> float | None:
    try:
        more: dict[int, Any] = exif.get_ifd(ExifTags.IFD.Exif)
        text = more.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
        zone = str(more.get(ExifTags.Base.OffsetTimeOriginal) or "").strip("\0 ")
        local = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        if re.fullmatch(r"[+-]\d\d:\d\d", zone):
            local = datetime.strptime(f"{local:%Y%m%d%H%M%S}{zone}", "%Y%m%d%H%M%S%z")
        return local.timestamp()
    except Exception:
        # Cameras without a clock write blanks, zeros or nothing.
        return None


def _rating(exif: Image.Exif, xmp: bytes | str) -> int | None:
    match = _XMP_RATING.search(xmp.encode() if isinstance(xmp, str) else xmp)
    if match is not None:
        return int(match[1])
    rating = exif.get(ExifTags.Base.Rating)
    return rating if isinstance(rating, int) and 1 <= rating <= 5 else None


def _look(image: Image.Image) -> int:
    """Describe where a picture gets brighter from left to right (a dHash)."""
    small = image.convert("L").resize((_HASH_EDGE + 1, _HASH_EDGE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")
