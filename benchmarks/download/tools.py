"""The command lines of our download program and its peers for the same files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.download.hub_process import REPOSITORY

_REVISION = "0123456789abcdef0123456789abcdef01234567"
_HF = """
import sys
from concurrent.futures import ThreadPoolExecutor
from huggingface_hub import hf_hub_download
repository, revision, target, *names = sys.argv[1:]
with ThreadPoolExecutor(4) as threads:
    list(threads.map(
        lambda name: hf_hub_download(repository, name, revision=revision, local_dir=target), names
    ))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files that every tool downloads."""

    folder: Path
    sha256: dict[str, str]
    """Name -> hash."""

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum((self.folder / name).stat().st_size for name in self.sha256)


def make_files(folder: Path, count: int, size_bytes: int) -> Files:
    """Write files of random bytes, and their hashes beside them."""
    folder.mkdir(parents=True)
    hashes = {}
    for index in range(count):
        path = folder / f"model-{index}.gguf"
        sha256 = hashlib.sha256()
        with path.open("wb") as content:
            left = size_bytes
            while left:
                piece = os.urandom(min(left, 1 << 24))
                sha256.update(piece)
                content.write(piece)
                left -= len(piece)
        hashes[path.name] = sha256.hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(hashes[path.name])
    os.sync()
    return Files(folder=folder, sha256=hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One way to download."""

    name: str
    command: Callable[[str, Files, Path], tuple[list[str], dict[str, str]]]
    """Hub's address, files and target directory -> command and variables."""
    lacking: str = ""
    """Why it cannot run here; empty: it can."""
    blobs: bool = False
    """Whether it names files on the target by their sha256."""

    def has(self, files: Files, target: Path) -> bool:
        """Tell whether the target contains exactly the right bytes of every file."""
        for name, sha256 in files.sha256.items():
            path = target / "blobs" / sha256 if self.blobs else target / name
            if not path.is_file():
                return False
            with path.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != sha256:
                    return False
        return True


def _ours(url: str, files: Files, target: Path) -> tuple[list[str], dict[str, str]]:
    plan = {
        "version": 1,
        "files": [
            {
                "repository": REPOSITORY,
                "revision": _REVISION,
                "name": name,
                "size_bytes": (files.folder / name).stat().st_size,
                "sha256": sha256,
            }
            for name, sha256 in files.sha256.items()
        ],
        "models": [
            {"id": name.partition(".")[0], "links": [{"name": "model.gguf", "sha256": sha256}]}
            for name, sha256 in files.sha256.items()
        ],
    }
    path = files.folder / "plan.json"
    path.write_text(json.dumps(plan))
    words = [sys.executable, "-m", "in_pod.download", "--plan", str(path), "--models", str(target)]
    return words, {"HF_ENDPOINT": url, "no_proxy": "127.0.0.1"}


def _urls(url: str, files: Files) -> Iterator[tuple[str, str]]:
    for name in files.sha256:
        yield name, f"{url}/{REPOSITORY}/resolve/{_REVISION}/{name}"


def _curl(url: str, files: Files, target: Path) -> tuple[list[str], dict[str, str]]:
    words = ["curl", "--parallel", "-sSfL", "-C", "-", "--noproxy", "127.0.0.1"]
    for name, address in _urls(url, files):
        words += ["-o", str(target / name), address]
    return words, {}


def _curl_checked(url: str, files: Files, target: Path) -> tuple[list[str], dict[str, str]]:
    words, env = _curl(url, files, target)
    sums = files.folder / "sha256sums"
    sums.write_text(
        "".join(f"{sha256}  {target / name}\n" for name, sha256 in files.sha256.items())
    )
    return ["sh", "-c", f'"$@" && sha256sum --quiet -c {sums}', "sh", *words], env


def _aria2(*options: str) -> Callable[[str, Files, Path], tuple[list[str], dict[str, str]]]:
    def command(url: str, files: Files, target: Path) -> tuple[list[str], dict[str, str]]:
        wanted = files.folder / "aria2.txt"
        wanted.write_text(
            "".join(
                f"{address}\n  dir={target}\n  out={name}\n"
                f"  checksum=sha-256={files.sha256[name]}\n"
                for name, address in _urls(url, files)
            )
        )
        fixed = ["-q", "-c", "-j2", "-x4", "-s4", "--file-allocation=falloc", "--no-proxy=*"]
        return ["aria2c", *fixed, *options, f"--input-file={wanted}"], {}

    return command


def _huggingface_hub(url: str, files: Files, target: Path) -> tuple[list[str], dict[str, str]]:
    env = {
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HOME": str(files.folder / "hf-home"),
        "no_proxy": "127.0.0.1",
    }
    return [sys.executable, "-c", _HF, REPOSITORY, _REVISION, str(target), *files.sha256], env


def _on_path(program: str, package: str) -> str:
    return "" if shutil.which(program) else f"{program} is not on PATH (apt install {package})"


_HF_LACKING = "" if importlib.util.find_spec("huggingface_hub") else "not installed in .venv"

OURS = Tool(name="download", command=_ours, blobs=True)
CURL = Tool(name="curl --parallel", command=_curl, lacking=_on_path("curl", "curl"))
CURL_CHECKED = Tool(
    name="curl --parallel, then sha256sum",
    command=_curl_checked,
    lacking=_on_path("curl", "curl"),
)
ARIA2 = Tool(name="aria2c -j2 -x4", command=_aria2(), lacking=_on_path("aria2c", "aria2"))
ARIA2_SAVING = Tool(
    name="aria2c, saving each second",
    command=_aria2("--auto-save-interval=1"),
    lacking=_on_path("aria2c", "aria2"),
)
HUGGINGFACE_HUB = Tool(name="huggingface_hub, HTTP", command=_huggingface_hub, lacking=_HF_LACKING)
