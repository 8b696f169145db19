"""Turn one photo's bytes into what is sent: upright, small, sRGB, and nothing but pixels.

All models get the same bytes, so that none of them resizes by itself, and the owner's location
and camera stay private. With the same Pillow, the same photo gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
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
from PIL import ExifTags, Image, ImageCms, features

from ops.commands.bench.results import Failure

LONG_EDGE_PX = 1024
JPEG_QUALITY = 85
LARGEST_PIXELS = 100_000_000
"""Larger photos are not decoded: 100 megapixels take up to 400 MB of memory."""
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
_NETPBM = re.compile(rb"P[1-6][\s#]")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb")
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
    """Prepare one photo. Not thread-safe: it switches Pillow's warnings off.

    Raises:
        PhotoError: when it is not a picture, broken, too large, or of an unsupported format.
    """
    with _decoding(io.BytesIO(content), content[:32]) as image:
        size = _sent_size(image.size)
        # libjpeg itself decodes to a half, a quarter or an eighth, in a third of the time.
        image.draft(None, size)
        image.load()
        pixels = _flat(image)
        if pixels.size != size:
            pixels = pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=_decoded_formats()) as image:
                if image.width * image.height > LARGEST_PIXELS:
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
        except Image.DecompressionBombError as error:
            raise PhotoError("image_too_large") from error
        except Exception as error:
            # Decoders raise anything their parsers run into: OSError, SyntaxError, ValueError,
            # struct.error, zlib.error, KeyError, and more.
            raise PhotoError("image_unreadable") from error


def _decoded_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _sent_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONG_EDGE_PX / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _flat(image: Image.Image) -> Image.Image:
    """Convert a picture to a mode that can be resized: L, RGB, RGBA or CMYK, 8 bits each."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        # 16-bit values scale by their range; floats have none and scale by their maximum.
        top = max(float(values.max()), 1.0) if image.mode == "F" else 65535.0
        return Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8))
    if image.mode in ("L", "RGB", "CMYK"):
        return image.convert("RGBA") if "transparency" in image.info else image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


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
