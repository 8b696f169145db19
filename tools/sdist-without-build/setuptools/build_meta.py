"""The hook by which `pip download` asks a source package for its name and version."""

from __future__ import annotations

from email import message_from_string
from pathlib import Path
from typing import Any


def prepare_metadata_for_build_wheel(folder: str, _settings: Any = None) -> str:
    """Copy name and version from the package's PKG-INFO, which a build would compute anew."""
    given = message_from_string(Path("PKG-INFO").read_text())
    name, version = given["Name"].replace("-", "_"), given["Version"]
    directory = Path(folder) / f"{name}-{version}.dist-info"
    directory.mkdir()
    text = f"Metadata-Version: 2.1\nName: {given['Name']}\nVersion: {version}\n"
    (directory / "METADATA").write_text(text)
    return directory.name
