"""The shape of the repository that everything else relies on."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from llama_swap_config.lock.locked import LOCK_PATH
from tests.conftest import ROOT


def test_our_constructs_folder_does_not_hide_the_package_of_that_name() -> None:
    assert not list((ROOT / "constructs").glob("__init__.py*"))
    assert not (ROOT / "constructs.py").exists()
    program = (
        "import constructs, constructs.model_store as ours;"
        "print(constructs.Construct.__module__, constructs.__file__, ours.__file__, sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    module, package, ours = result.stdout.splitlines()
    assert module == "constructs"
    assert ROOT / "constructs" not in Path(package).parents
    assert Path(ours) == ROOT / "constructs" / "model_store.py"


@pytest.mark.parametrize("package", ["cdktf", "cdktf_cdktf_provider_kubernetes", "jsii"])
def test_only_the_seam_imports_cdktf(package: str) -> None:
    importing = re.compile(rf"^\s*(?:import|from)\s+{package}\b", re.MULTILINE)
    sources = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=Path(__file__).parent.parent,  # The copy links to its folders.
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [path for path in sources if importing.search((ROOT / path).read_text())]
    assert found in ([], ["constructs/terraform.py"])


def test_the_tests_see_the_frozen_declaration() -> None:
    frozen = Path(__file__).parent / "declaration"
    for module, source in (
        ("llama_swap_config.registry", "registry.py"),
        ("stacks.production", "settings.py"),
    ):
        path = Path(str(import_module(module).__file__))
        assert path.is_relative_to(ROOT)
        assert path.read_text() == (frozen / source).read_text()
    assert LOCK_PATH.is_relative_to(ROOT)
    assert LOCK_PATH.read_text() == (frozen / "models.lock.json").read_text()
    assert Path.cwd() == ROOT


def test_only_the_live_tests_leave_the_copy_of_the_tree() -> None:
    """A test that knows where it is itself stored could read an operator's own files."""
    tests = Path(__file__).parent
    leaving = {
        path.relative_to(tests).parts[0]
        for path in tests.rglob("*.py")
        if re.search(
            r"__file__\)(?:\.resolve\(\))?\.(?:parents|(?:parent\.)+parent\b)", path.read_text()
        )
    }
    assert leaving == {"live", "test_layout.py"}


def test_main_is_short() -> None:
    assert len((ROOT / "main.py").read_text().splitlines()) <= 40


def test_constructs_import_nothing_above_them() -> None:
    """import-linter cannot see this folder: the package of its name hides it.

    Of a program that runs in a pod they know its contract alone.
    """
    above = r"(?:stacks|ops|in_pod(?!\.\w+\.contract\b))"
    upward = re.compile(rf"^\s*(?:import|from)\s+{above}\b", re.MULTILINE)
    sources = (ROOT / "constructs").glob("*.py")
    assert [path.name for path in sources if upward.search(path.read_text())] == []
