"""Drift of the models' volume."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.real.drift.system import COMMIT, System, only_line


def blob(system: System) -> Path:
    return (system.store.volume / "qwen3vl-8b" / "model.gguf").resolve()


def test_a_missing_file_is_drift(system: System) -> None:
    path = blob(system)
    path.rename(away := path.with_name("away"))
    shutil.move(away, system.store.volume.parent / "away")
    try:
        only_line(
            system.lines(),
            rf"model qwen3vl-8b: file \S+\.gguf is missing on the volume, \d+ bytes declared "
            rf"{COMMIT}: python -m ops weights pull \S+ downloads it, .*",
        )
    finally:
        shutil.move(system.store.volume.parent / "away", path)


def test_a_file_in_a_folder_of_the_models_name_is_drift(system: System) -> None:
    path, folder = blob(system), system.store.volume / "qwen3vl-8b"
    right = folder.readlink()
    folder.unlink()
    folder.mkdir()
    path.rename(folder / "weights.gguf")
    try:
        only_line(
            system.lines(),
            rf"model qwen3vl-8b: file \S+\.gguf is missing on the volume, \d+ bytes declared "
            rf"{COMMIT}: 'qwen3vl-8b/weights.gguf' has its size: python -m ops weights pull \S+ "
            r"takes that file over, .*",
        )
    finally:
        (folder / "weights.gguf").rename(path)
        folder.rmdir()
        folder.symlink_to(right)


def test_a_file_of_another_size_is_drift(system: System) -> None:
    path = blob(system)
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    try:
        only_line(
            system.lines(),
            rf"model qwen3vl-8b: file \S+\.gguf is 1000 bytes on the volume \([^)]+Z\), "
            rf"{len(content)} bytes declared {COMMIT}: (the volume is newer; )?python -m ops "
            r"weights pull \S+ replaces it",
        )
    finally:
        path.write_bytes(content)


def test_a_link_to_other_files_is_drift(system: System) -> None:
    link = system.store.volume / "qwen3vl-8b"
    right = link.readlink()
    target = (system.store.volume / "qwen3vl-4b").readlink()
    link.unlink()
    link.symlink_to(target)
    try:
        lines = system.lines()
    finally:
        link.unlink()
        link.symlink_to(right)
    of_link = [line for line in lines if line.startswith("model ")]
    only_line(
        of_link,
        rf"model qwen3vl-8b: link is {target} on the volume \([^)]+Z\), {right} declared "
        rf"{COMMIT}: (the volume is newer; )?published with other files than the lock's: .*",
    )


def test_an_unused_file_is_drift(system: System) -> None:
    path = system.store.volume / "blobs" / ("0" * 64)
    path.write_bytes(b"x" * 4096)
    try:
        only_line(
            system.lines(),
            rf"file blobs/0+: is present \(\S+ \S+\) on the volume \([^)]+Z\), not declared "
            rf"{COMMIT}: (the volume is newer; )?no model uses it: python -m ops weights prune .*",
        )
    finally:
        path.unlink()
