"""The headers of locked files, fetched once and kept in the cache of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from llama_swap_config.lock.locked import LockedFile, LockedModel
from ops.errors import OpsError
from ops.gguf.table import Source, read_table
from ops.machine.build_cache import cache_dir


@dataclass(slots=True, kw_only=True)
class KeptHeader:
    """A file of which the start is known, and the rest read from elsewhere.

    Whoever reads a header reads from the start of a file, in pieces.
    """

    source: Source
    sha256: str
    """Of the whole file; names it in the cache."""
    _bytes: bytearray = field(init=False, default_factory=bytearray)
    _cached: int = field(init=False)

    def __post_init__(self) -> None:
        """Take what the cache has."""
        with suppress(OSError):
            self._bytes += _path(self.sha256).read_bytes()
        self._cached = len(self._bytes)

    @property
    def name(self) -> str:
        """Its name in errors."""
        return self.source.name

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return self.source.size_bytes

    def read(self, first: int, end: int) -> bytes:
        """Read the bytes from `first` up to `end`."""
        if end > len(self._bytes):
            self._bytes += self.source.read(len(self._bytes), end)
        return bytes(self._bytes[first:end])

    def keep(self) -> None:
        """Write what was read into the cache, for later engines and questions."""
        if len(self._bytes) == self._cached:
            return
        path = _path(self.sha256)
        with suppress(OSError):  # A full or shared cache only costs another request.
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(self._bytes)
            Path(file.name).replace(path)

    def write(self, path: Path) -> None:
        """Write a file of the whole length that has the header, and holes for tensors.

        Raises:
            GgufError: when the header is invalid.
            OpsError: when it cannot be read, or the disk refuses such a file.
        """
        read_table(self)
        try:
            with path.open("wb") as file:
                file.write(self._bytes)
                file.truncate(self.size_bytes)
        except OSError as error:
            raise OpsError(
                f"{self.name}: a file of {self.size_bytes} bytes without data cannot be made in "
                f"{path.parent} ({error.strerror}). Set TMPDIR to a directory of another disk"
            ) from error


class NotAtHandError(OpsError):
    """This machine lacks something that an engine is asked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nowhere:
    """A source that has nothing."""

    name: str
    size_bytes: int

    def read(self, first: int, end: int) -> bytes:
        # Without its name: the reason is the same for all models that are asked about.
        raise NotAtHandError("the headers are not in the cache of this machine")


def cached_header(file: LockedFile) -> KeptHeader:
    """Return the header of a locked file; what the cache lacks of it raises `NotAtHandError`."""
    nowhere = _Nowhere(name=file.name, size_bytes=file.size_bytes)
    return KeptHeader(source=nowhere, sha256=file.sha256)


@contextmanager
def header_files(
    locked: LockedModel, header_of: Callable[[LockedFile], KeptHeader]
) -> Iterator[Path]:
    """Write a model's headers under the names of its links; yield their temporary directory.

    Args:
        locked: The model.
        header_of: Returns the header of one of its files.

    Raises:
        OpsError: when a header cannot be read or written.
    """
    with tempfile.TemporaryDirectory(prefix="llama-cpp-headers-") as name:
        folder = Path(name)
        for link, file in locked.links.items():
            header = header_of(file)
            header.write(folder / link)
            header.keep()
        yield folder


def _path(sha256: str) -> Path:
    return headers_dir() / sha256


def headers_dir() -> Path:
    """Directory of the headers in the cache."""
    return cache_dir() / "headers"
