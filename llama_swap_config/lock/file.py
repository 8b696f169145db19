"""Read models.lock.json with a check of each field, and write it byte-stable."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from llama_swap_config.errors import ConfigError
from llama_swap_config.lock.header import WORD, ProjectorHeader, WeightsHeader, counts
from llama_swap_config.lock.locked import (
    LOCK_COMMAND,
    LOCK_PATH,
    Lock,
    LockedFile,
    LockEntry,
    Role,
    check_blobs,
)
from llama_swap_config.lock.memory import as_document, read_measured
from llama_swap_config.model import is_gguf_path

VERSION = 3

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{40}|main")
_RESTORE = f"Restore it from git or run `{LOCK_COMMAND}`"

_FILE_FIELDS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("repository", "owner/name", lambda v: isinstance(v, str) and v.count("/") == 1),
    ("revision", "40 hex digits or main", lambda v: _is_text(v, _REVISION)),
    ("role", " or ".join(get_args(Role)), lambda v: v in get_args(Role)),
    (
        "name",
        "one exact .gguf file, not a pattern",
        lambda v: isinstance(v, str) and is_gguf_path(v),
    ),
    ("quantisation", "a quantisation", lambda v: isinstance(v, str) and v != ""),
    ("size_bytes", "a whole number of at least 1", lambda v: type(v) is int and v > 0),
    ("sha256", "64 hex digits", lambda v: _is_text(v, _SHA256)),
    ("header", "an object, or null for a later part", lambda v: v is None or isinstance(v, dict)),
    ("source", "the source of the header's facts", lambda v: isinstance(v, str) and v != ""),
)
_FILE_NAMES = tuple(name for name, *_ in _FILE_FIELDS)


def read_lock(path: Path = LOCK_PATH) -> Lock:
    """Read and check a lock.

    Args:
        path: The lock file (default: the repository's).

    Returns:
        Model id -> its entry, in the order of the lock.

    Raises:
        ConfigError: when the file is missing or incomplete, or a field is missing or wrong.
    """
    return _parse(path.name, read_document(path))


def _parse(subject: str, document: dict[str, Any]) -> Lock:
    if document.get("version") != VERSION:
        raise ConfigError.of(
            subject, "version", document.get("version"), expected=str(VERSION),
            remedy=f"Run `{LOCK_COMMAND}`",
        )  # fmt: skip
    models = document.get("models")
    if not isinstance(models, dict):
        raise ConfigError.of(subject, "models", models, expected="an object", remedy=_RESTORE)
    lock = {
        model_id: read_entry(f"{subject}: model {model_id!r}", entry)
        for model_id, entry in models.items()
    }
    check_blobs(subject, lock)
    return lock


def read_document(path: Path) -> dict[str, Any]:
    """Read the JSON of a lock of any version without checking its content.

    Raises:
        ConfigError: when the file is missing, incomplete or not an object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}). Restore it from git.") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path.name} is not complete JSON ({error}). Restore it from git."
        ) from error
    if not isinstance(document, dict):
        raise ConfigError.of(path.name, "content", document, expected="an object", remedy=_RESTORE)
    return document


def render_lock(lock: Lock) -> str:
    """Render a lock; equal locks give equal bytes.

    Args:
        lock: Model id -> its entry, in any order.
    """
    models = {model_id: _entry(lock[model_id]) for model_id in sorted(lock)}
    return json.dumps({"version": VERSION, "models": models}, indent=2) + "\n"


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file atomically.

    Raises:
        ConfigError: when the file cannot be written, or `read_lock` would refuse the lock.
    """
    text = render_lock(lock)
    _parse(path.name, json.loads(text))
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be written ({error.strerror})") from error


def _entry(entry: LockEntry) -> dict[str, Any]:
    files, roles = entry.files, get_args(Role)
    shared = {"repository": files[0].repository, "revision": files[0].revision}
    memory = [as_document(measured) for measured in entry.memory]
    return shared | {
        "files": [
            {
                name: value
                for name, value in _fields(file).items()
                if name not in shared or value != shared[name]
            }
            for file in sorted(files, key=lambda file: (roles.index(file.role), file.name))
        ],
        "memory": sorted(memory, key=lambda it: (it["engine_build"], it["flags"], it["sha256"])),
    }


def _fields(file: LockedFile) -> dict[str, Any]:
    values = asdict(file)
    values["source"] = values.pop("header_source")
    return {name: values[name] for name in _FILE_NAMES}


def read_entry(subject: str, entry: Any) -> LockEntry:
    """Check a model's entry of a lock.

    Args:
        subject: The entry in errors.
        entry: The value of the model's id.

    Raises:
        ConfigError: when a field is missing or wrong.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("files"), list):
        raise ConfigError.of(subject, "files", entry, expected="a list of files", remedy=_RESTORE)
    shared = {"repository": entry.get("repository"), "revision": entry.get("revision")}
    files = []
    for values in entry["files"]:
        if not isinstance(values, dict):
            raise ConfigError.of(subject, "files", values, expected="objects", remedy=_RESTORE)
        files.append(_read_file(subject, shared | values))
    if not files:
        raise ConfigError.of(subject, "files", files, expected="at least one", remedy=_RESTORE)
    for file in files:
        _check_bytes(subject, file, files)
    memory = entry.get("memory")
    if not isinstance(memory, list):
        raise ConfigError.of(subject, "memory", memory, expected="a list", remedy=_RESTORE)
    return LockEntry(
        files=tuple(files),
        memory=tuple(read_measured(subject, values, _RESTORE) for values in memory),
    )


def _read_file(subject: str, values: dict[str, Any]) -> LockedFile:
    file = f"{subject}, {values.get('name', 'a file')}"
    for name, expected, is_valid in _FILE_FIELDS:
        if name not in values or not is_valid(values[name]):
            raise ConfigError.of(file, name, values.get(name), expected=expected, remedy=_RESTORE)
    _refuse_unknown(file, "a file's field", values, _FILE_NAMES)
    is_weights = values["role"] == "model"
    if values["header"] is None and not is_weights:
        raise ConfigError.of(file, "header", None, expected="an object", remedy=_RESTORE)
    kind = WeightsHeader if is_weights else ProjectorHeader
    header = None if values["header"] is None else _read_header(file, values["header"], kind)
    plain = {name: values[name] for name in _FILE_NAMES if name not in ("header", "source")}
    return LockedFile(**plain, header=header, header_source=values["source"])


def _read_header(
    subject: str,
    values: dict[str, Any],
    kind: type[WeightsHeader] | type[ProjectorHeader],
) -> WeightsHeader | ProjectorHeader:
    for field in fields(kind):
        value = values.get(field.name)
        expected = _expected_instead(field.name, str(field.type), value)
        if expected is not None:
            raise ConfigError.of(
                subject, f"header.{field.name}", value, expected=expected, remedy=_RESTORE
            )
    _refuse_unknown(subject, "a header's field", values, [field.name for field in fields(kind)])
    return kind(**values | {"tensor_types": tuple(values["tensor_types"])})


def _check_bytes(subject: str, file: LockedFile, files: Iterable[LockedFile]) -> None:
    """Check that the tensors of a header are not larger than its files."""
    header = file.header
    if header is None:
        return
    size_bytes, embedding_bytes = file.size_bytes, 0
    if isinstance(header, WeightsHeader):
        embedding_bytes = header.token_embedding_bytes
        if header.parts > 1:
            size_bytes += sum(part.size_bytes for part in files if part.header is None)
    for name, value, most, limit in (
        ("tensor_bytes", header.tensor_bytes, size_bytes, "size_bytes"),
        ("token_embedding_bytes", embedding_bytes, header.tensor_bytes, "tensor_bytes"),
    ):
        if value > most:
            raise ConfigError.of(
                f"{subject}, {file.name}", f"header.{name}", value,
                expected=f"at most {limit} ({most})", remedy=_RESTORE,
            )  # fmt: skip


def _expected_instead(name: str, kind: str, value: Any) -> str | None:
    """Return what a header's field has to be; None if the value is that."""
    if kind == "str":
        return None if _is_text(value, WORD) else "a word"
    if kind.startswith("tuple"):
        is_words = isinstance(value, list) and all(_is_text(word, WORD) for word in value)
        return None if is_words and value else "a list of words"
    if kind == "bool":
        return None if isinstance(value, bool) else "true or false"
    bounds = counts(name)
    is_count = type(value) is int and value in bounds
    return None if is_count else f"a whole number from {bounds.start} to 2**48"


def _is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _refuse_unknown(subject: str, field: str, values: Iterable[str], known: Iterable[str]) -> None:
    unknown = set(values) - set(known)
    if unknown:
        raise ConfigError.of(
            subject, field, min(unknown), expected=f"one of {', '.join(known)}", remedy="Remove it"
        )
