"""The plan: the files of the volume and the models' links to them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .contract import BAD_DATA, BLOBS, SETS, is_repository_path
from .errors import DownloadError

SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = r"[A-Za-z0-9][\w.-]*"
NAME = re.compile(_WORD, re.ASCII)
_PATH = re.compile(rf"{_WORD}(/{_WORD})*", re.ASCII)
_RESERVED_IDS = (BLOBS, SETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the hub."""

    repository: str
    revision: str
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A file name in a model's folder."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The files of the volume, and the links of each model."""

    files: tuple[File, ...]
    models: dict[str, tuple[Link, ...]]


def read_plan(path: Path) -> Plan:
    """Read and check the plan.

    Raises:
        DownloadError: with BAD_DATA when it is incomplete, contradicts itself or names a path
            outside the volume.
    """
    try:
        return parse_plan(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DownloadError(BAD_DATA, f"{path} cannot be read ({error})") from error


def parse_plan(text: str, subject: str) -> Plan:
    """Check the text of a plan.

    Args:
        text: JSON.
        subject: The plan in errors.

    Raises:
        DownloadError: as `read_plan`.
    """
    try:
        document = json.loads(text)
        if document["version"] != 1:
            raise ValueError(f"version is {document['version']!r}; expected 1")
        files = tuple(File(**fields) for fields in document["files"])
        models = {
            model["id"]: tuple(Link(**fields) for fields in model["links"])
            for model in document["models"]
        }
        if len(models) != len(document["models"]):
            raise ValueError("a model appears twice")
        for file in files:
            _check_file(file)
        for model, links in models.items():
            _check_links(model, links, {file.sha256 for file in files})
        if len({file.sha256 for file in files}) != len(files):
            raise ValueError("two files have the same sha256")
        if len({(file.repository, file.revision, file.name) for file in files}) != len(files):
            raise ValueError("two files have the same name")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else error
        raise DownloadError(
            BAD_DATA, f"{subject} is not a valid download plan ({reason})"
        ) from error
    return Plan(files=files, models=models)


def _check_file(file: File) -> None:
    for field, is_valid in (
        ("repository", _PATH.fullmatch),
        ("revision", _PATH.fullmatch),
        ("name", is_repository_path),
    ):
        value = getattr(file, field)
        if not isinstance(value, str) or not is_valid(value):
            raise ValueError(f"{field} is {value!r}; expected a relative path")
    if type(file.size_bytes) is not int or file.size_bytes < 1:
        raise ValueError(
            f"{file.name}: size_bytes is {file.size_bytes!r}; expected a positive number"
        )
    if not isinstance(file.sha256, str) or not SHA256.fullmatch(file.sha256):
        raise ValueError(f"{file.name}: sha256 is {file.sha256!r}; expected 64 hex digits")


def _check_links(model: str, links: tuple[Link, ...], known: set[str]) -> None:
    if not isinstance(model, str) or not NAME.fullmatch(model) or model in _RESERVED_IDS:
        raise ValueError(f"model is {model!r}; expected a plain name")
    names = [link.name for link in links]
    for link in links:
        if not isinstance(link.name, str) or not NAME.fullmatch(link.name):
            raise ValueError(f"model {model}: link is {link.name!r}; expected a plain name")
        if link.sha256 not in known:
            raise ValueError(f"model {model}: the plan has no file for {link.name}")
    if not links or len(set(names)) != len(names):
        raise ValueError(f"model {model}: expected one link or more, without duplicates")
