"""A file in memory."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Bytes:
    """A file that records the sizes of its reads."""

    content: bytes
    size: int | None = None
    name: str = "x.gguf"
    asked: list[int] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return len(self.content) if self.size is None else self.size

    def read(self, first: int, end: int) -> bytes:
        self.asked.append(end - first)
        return self.content[first:end]
