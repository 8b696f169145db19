"""Try an operator's edits, each in a copy of this tree: `make test-edits`.

After an edit exactly one test of tests/live/ fails, the one that compares the snapshot; after
`make snapshot` they and `make check` pass. All edits together then pass the whole suite. An edit
that is wrong fails with the line that `main.py` prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ops.gguf import tiny_models
from ops.hub.local_hub import HubFile, LocalHub
from ops.machine.checkout import ROOT

REGISTRY = "llama_swap_config/registry.py"
PRODUCTION = "stacks/production.py"
LIVE = ("-q", "tests/live/test_declaration.py", "tests/live/test_api_server.py")
QUANTISATION = 'quantisation="Q4_K_M",'
FOURTH_MODEL = 'Model(id="fourth", repository="owner/fourth-GGUF", quantisation="Q4_K_M"),'


class Tree:
    """A copy of the working tree, with this one's virtual environment."""

    def __init__(self, root: Path) -> None:
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)  # As an operator's is.
        (root / ".venv").symlink_to(ROOT / ".venv")
        if (ROOT / ".mypy_cache").exists():
            shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
        self.root = root

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (self.root / name).write_text(text.replace(old, new, 1))

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def make(self, target: str) -> None:
        """Run a target with the environment as it is, whatever the copied files' times."""
        result = self.run("make", "--old-file=.venv/.installed", target)
        assert result.returncode == 0, f"make {target}\n{result.stdout}"

    def failures(self) -> list[str]:
        """Run tests/live/ and return why its tests failed."""
        # pytest cuts each reason at the terminal's width.
        result = self.run(sys.executable, "-m", "pytest", *LIVE, COLUMNS="1000")
        reasons = re.findall(r"^FAILED \S+ - (?:Failed: )?(.*)$", result.stdout, re.MULTILINE)
        assert (result.returncode == 1) is bool(reasons), result.stdout
        return reasons


def larger_context(tree: Tree) -> None:
    tree.replace(REGISTRY, QUANTISATION, f"{QUANTISATION}\n        context=8192,")


def as_many_as_fit(tree: Tree) -> None:
    tree.replace(REGISTRY, "= OneAtATime()", "= AsManyAsFit()")


def a_key(tree: Tree) -> None:
    tree.replace(PRODUCTION, '("KEY_GATEWAY",)', '("KEY_GATEWAY", "POSTER_KEY")')


def fourth_model(tree: Tree) -> None:
    """Lock a model of a hub on loopback."""
    tree.replace(REGISTRY, "\n)\n\nRESIDENCY", f"\n    {FOURTH_MODEL}\n)\n\nRESIDENCY")
    with tempfile.TemporaryDirectory() as folder:
        weights, projector = Path(folder, "fourth-Q4_K_M.gguf"), Path(folder, "mmproj-F16.gguf")
        tiny_models.write_weights(weights, "fourth", vision=True)
        tiny_models.write_projector(projector, "fourth")
        files = {
            ("owner/fourth-GGUF", path.name): HubFile.of(path) for path in (weights, projector)
        }
        with LocalHub(files) as hub:
            result = tree.run(
                sys.executable, "-m", "ops", "lock", HF_ENDPOINT=hub.url, no_proxy="127.0.0.1"
            )
    assert result.returncode == 0, result.stdout


def a_cluster_of_ones_own(tree: Tree) -> None:
    tree.replace(PRODUCTION, 'server="192.168.1.127"', 'server="10.0.0.5"')
    tree.replace(
        PRODUCTION,
        'Gpu(product="Tesla-T4")',
        'Gpu(\n        product="NVIDIA-GeForce-RTX-3090",\n        usable_mib=24000,\n'
        '        node_selector={"kubernetes.io/hostname": "gpu-box"},\n    )',
    )
    text = (tree.root / PRODUCTION).read_text()
    (tree.root / PRODUCTION).write_text(text[: text.index("    sharing=")] + ")\n")


def another_pool(tree: Tree) -> None:
    """Serve a model on another node, and select the first one by its name."""
    text = (tree.root / PRODUCTION).read_text()
    text = text.replace('product="Tesla-T4"', f'product="Tesla-T4", {_selector("k8s-node1")}')
    settings = "from stacks.settings"
    text = text.replace(settings, f"from stacks.pool import Pool\n{settings}")
    other = f'Gpu(product="NVIDIA-L4", {_selector("k8s-node2")})'
    pools = f'    pool="first",\n    pools=(Pool(name="second", gpu={other}),),\n'
    text = text.replace("    state_schema=", f"{pools}    state_schema=", 1)
    (tree.root / PRODUCTION).write_text(text)
    registry = (tree.root / REGISTRY).read_text()
    first, *others = registry.split("    Model(")
    homes = ('pools=("first", "second"),', *('pools=("first",),' for _ in others[1:]))
    models = (f"    Model({home}{model}" for home, model in zip(homes, others, strict=True))
    (tree.root / REGISTRY).write_text("".join((first, *models)))
    result = tree.run("ruff", "format", "--quiet", REGISTRY, PRODUCTION)
    assert result.returncode == 0, result.stdout


def _selector(node: str) -> str:
    return f'node_selector={{"kubernetes.io/hostname": "{node}"}}'


EDITS: tuple[Callable[[Tree], None], ...] = (
    fourth_model,  # Before the larger context, which `ops lock` would ask the hub about.
    larger_context,
    as_many_as_fit,
    a_key,
    a_cluster_of_ones_own,
    another_pool,
)


def check(edits: tuple[Callable[[Tree], None], ...], *, targets: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user reads the embedded cluster's files.
        tree = Tree(Path(folder))
        for edit in edits:
            edit(tree)
        (failure,) = tree.failures()
        assert "run `make snapshot`" in failure, failure
        tree.make("snapshot")
        assert tree.failures() == []
        for target in targets:
            tree.make(target)


def check_a_wrong_edit() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        tree.replace(REGISTRY, QUANTISATION, f"{QUANTISATION} context=65536,")
        printed = tree.run(sys.executable, "main.py").stdout.splitlines()[-1]
        (failure,) = tree.failures()
        assert failure == printed, (failure, printed)
        print(f"  {printed}")


def main() -> None:
    for edit in EDITS:
        print(f"{edit.__name__}: tests/live, make snapshot, make check", flush=True)
        check((edit,), targets=("check",))
    print("a context that does not fit: one line", flush=True)
    check_a_wrong_edit()
    print("all six together: make test", flush=True)
    check(EDITS, targets=("test",))


if __name__ == "__main__":
    main()
