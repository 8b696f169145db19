"""Invalid plans and command lines are refused before anything is written."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from in_pod.download.__main__ import main
from in_pod.download.contract import BAD_DATA
from tests.conftest import ROOT
from tests.in_pod.download.volume import Source

pytestmark = pytest.mark.usefixtures("signals")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source", 1000, 100)


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(plan: dict[str, Any]) -> None:
        plan["files"][0][key] = value

    return apply


def link(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(plan: dict[str, Any]) -> None:
        plan["models"][0]["links"][0][key] = value

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        change("name", "../x"),
        change("name", "/etc/x"),
        change("name", ""),
        change("repository", "a b"),
        change("repository", "owner/../../x"),
        change("revision", 1),
        change("sha256", "0"),
        change("sha256", "A" * 64),
        change("size_bytes", 0),
        change("size_bytes", -1),
        change("size_bytes", True),
        change("extra", 1),
        link("name", "/etc/passwd"),
        link("name", "../model.gguf"),
        link("sha256", "0" * 64),
        lambda plan: plan["files"].append(dict(plan["files"][0])),
        lambda plan: plan["files"].append({**plan["files"][0], "name": "same-bytes.gguf"}),
        lambda plan: plan["files"].append({**plan["files"][0], "sha256": "0" * 64}),
        lambda plan: plan["models"].append(plan["models"][0]),
        lambda plan: plan["models"][0]["links"].append(plan["models"][0]["links"][0]),
        lambda plan: plan["models"][0].update(links=[]),
        lambda plan: plan["models"][0].update(id=".."),
        lambda plan: plan["models"][0].update(id="blobs"),
        lambda plan: plan["models"][0].update(id="sets"),
        lambda plan: plan.update(version=2),
        lambda plan: plan.pop("models"),
        lambda plan: plan.update(files=None),
    ],
)
def test_an_invalid_plan_is_refused_in_one_line(
    spoil: Callable[[dict[str, Any]], None],
    source: Source,
    models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = source.plan()
    spoil(plan)
    source.write_plan(plan)
    assert "is not a valid download plan (" in refused(source, models, capsys)


def test_a_plan_that_is_not_json_is_refused(
    source: Source, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.plan_path.write_text('{"version": 1')
    assert "is not a valid download plan (" in refused(source, models, capsys)
    source.plan_path.unlink()
    assert "cannot be read" in refused(source, models, capsys)


def refused(source: Source, models: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the program, which has to exit with one line before it writes to the volume."""
    code = main(["--plan", str(source.plan_path), "--models", str(models)])
    error = capsys.readouterr().err
    assert code == BAD_DATA
    assert error.count("\n") == 1
    assert not models.exists()
    return error


@pytest.mark.parametrize(
    "arguments", [["--quarantine"], ["--dry-run"], ["--connections", "0"], ["--rate-mb-s", "0"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], source: Source, models: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--plan", str(source.plan_path), "--models", str(models), *arguments])
    assert caught.value.code == 2


LITELLM_SHIPS = frozenset({"fastapi", "httpx2", "litellm", "prometheus_client", "starlette"})


@pytest.mark.parametrize("program", sorted((ROOT / "in_pod").glob("*/*.py")))
def test_programs_in_the_pod_import_only_the_standard_library(program: Path) -> None:
    """Their own package is imported relatively: it has another name in the pod."""
    imports = [
        node
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in imports
        if not getattr(node, "level", 0)
        for alias in node.names
    }
    shipped = LITELLM_SHIPS if program.parent.name == "gateway" else frozenset()
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names | shipped
    # What several programs share lies beside their packages.
    levels = {0, 1, 2} if program.parent.name in ("exporter", "gpu_window") else {0, 1}
    assert {getattr(node, "level", 0) for node in imports} <= levels
