"""`python -m ops plan` on commits of a repository of this tree: what it says, its exit code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llama_swap_config.gateway.settings import Gateway, Pictures
from ops.cli import main
from ops.commands.plan import command as plan_cli
from ops.commands.plan import run
from ops.commands.plan.as_json import as_json
from ops.commands.plan.comparison import Comparison, compare
from ops.commands.plan.revision import Revision
from ops.commands.plan.sections import document
from ops.commands.plan.sentence import sentence
from ops.commands.plan.side import Side, read_side
from ops.report.markdown import as_markdown
from ops.terraform.synth import Synthesized
from tests.conftest import ROOT
from tests.declaration.settings import GATEWAY, WITH_KEY
from tests.ops.commands.plan import repository as edits
from tests.ops.commands.plan.repository import Repository

GOLDEN = ROOT / "tests" / "golden" / "plan"
BASE = Revision(commit="0" * 40, name="merge base with main")
Edit = Callable[[Repository], None]
EDITS: dict[str, Edit] = {
    "adds-a-model": edits.add_a_model,
    "changes-a-context": edits.change_a_context,
    "changes-an-image": edits.change_an_image,
    "renames-a-model": edits.rename_a_model,
    "changes-the-consumers": edits.change_the_consumers,
    "reformats-the-registry": edits.reformat_the_registry,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("plan") / "clone")


class Sides:
    """The sides of the trees that were read; a side follows from the files of its tree."""

    def __init__(self) -> None:
        self._of: dict[str, Side] = {}

    def read(self, root: Path, outdir: Path) -> Side:
        digest = hashlib.sha256()
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not {".git", "__pycache__"} & set(name.parts):
                digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
        key = digest.hexdigest()
        if key not in self._of:
            self._of[key] = read_side(root, outdir)
        return self._of[key]


@pytest.fixture(scope="module")
def sides() -> Sides:
    return Sides()


@pytest.fixture
def read_once(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `plan` synthesize only what no test before has."""
    monkeypatch.setattr(run, "read_side", sides.read)


@pytest.fixture(scope="module")
def base(repository: Repository, sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> Side:
    repository.branch("base")
    return sides.read(repository.root, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def planned(
    repository: Repository, base: Side, sides: Sides, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Comparison]:
    """Commit an edit on a branch of its own and compare it, once an edit."""
    comparisons: dict[str, Comparison] = {}

    def plan(name: str) -> Comparison:
        if name not in comparisons:
            repository.branch(name)
            EDITS[name](repository)
            repository.commit(name)
            head = sides.read(repository.root, tmp_path_factory.mktemp("head"))
            comparisons[name] = compare(base, head, revision=BASE, rate_mb_s=50)
        return comparisons[name]

    return plan


@pytest.fixture
def clone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """The repository as the command's own tree, on a branch that nobody else uses."""
    repository.branch("mine")
    monkeypatch.setattr(plan_cli, "ROOT", repository.root)
    yield repository
    repository.branch("mine")


def summary(comparison: Comparison) -> str:
    (text,) = sentence(comparison)
    assert isinstance(text, str)
    return text


def test_consumers_are_counted_apart_from_objects(planned: Callable[[str], Comparison]) -> None:
    comparison = planned("changes-the-consumers")
    assert comparison.differs
    assert ", 1 consumer is added, 1 changes, 1 is removed, " in summary(comparison)
    assert comparison.consumers is not None
    assert [(change.name, change.action) for change in comparison.consumers] == [
        ("home-assistant", "changed"),
        ("flows", "added"),
        ("n8n", "removed"),
    ]
    assert [
        (field.name, field.before, field.after) for field in comparison.consumers[0].fields
    ] == [
        ("models", ["qwen3vl-4b"], ["qwen3vl-8b", "qwen3vl-4b"]),
        ("may_evict", False, True),
    ]
    shown = as_json(comparison)["consumers"]
    assert shown[2] == {"name": "n8n", "action": "removed", "fields": []}
    assert shown[0]["fields"][1] == {"path": "may_evict", "before": False, "after": True}


def test_a_restart_of_the_gateway_ends_no_model(synth: Callable[..., dict[str, Any]]) -> None:
    def side(gateway: Gateway) -> Side:
        document = synth(gateway=gateway, **WITH_KEY)
        synthesized = Synthesized(directory=ROOT, document=document)
        return Side(synthesized=synthesized, problem=None, models=(), consumers=(), fit=None)

    other = replace(GATEWAY, pictures=Pictures(number=3))
    comparison = compare(side(GATEWAY), side(other), revision=BASE, rate_mb_s=50)
    assert ", the gateway restarts, " in summary(comparison)
    assert "the pod restarts" not in summary(comparison)
    assert as_json(comparison)["pod_restarts"] is False


def actions(comparison: Comparison) -> dict[str, str]:
    """What happens to each object; the hash of the download's content left out."""
    return {
        f"{change.kind} {re.sub('-[0-9a-f]{10}$', '', change.name)}": change.action
        for change in comparison.objects
    }


def test_a_new_model_downloads_its_files_and_restarts_the_pod(
    planned: Callable[[str], Comparison],
) -> None:
    comparison = planned("adds-a-model")
    assert summary(comparison) == (
        "6 objects change, 2 are replaced, the pod restarts, the exporter restarts, "
        "3.1 GiB to download (67 s at 50 MB/s), fits with 8.0 GiB to spare."
    )
    assert comparison.models is not None
    assert [(model.id, model.action) for model in comparison.models] == [
        ("qwen3vl-4b-thinking", "added")
    ]
    assert actions(comparison) == {
        "ConfigMap llama-swap": "update",
        "ConfigMap exporter": "update",
        "ConfigMap model-download": "replace",
        "ConfigMap model-warm-up": "update",
        "CronJob model-upkeep": "update",
        "Deployment llama-swap": "update",
        "Deployment exporter": "update",
        "Job model-download": "replace",
    }
    forced = {field.path for change in comparison.objects for field in change.forced_by}
    assert "metadata.name" in forced
    assert comparison.files is not None
    assert comparison.files.free == ()


def test_a_changed_context_downloads_nothing(planned: Callable[[str], Comparison]) -> None:
    comparison = planned("changes-a-context")
    assert summary(comparison) == (
        "5 objects change, the pod restarts, the exporter restarts, "
        "nothing to download, fits with 8.0 GiB to spare."
    )
    assert comparison.models is not None
    (model,) = comparison.models
    (field,) = model.fields
    assert (field.name, field.before, field.after) == ("context", 3072, 4096)
    (deployment,) = (change for change in comparison.objects if change.is_endpoint)
    assert [field.parts[-1] for field in deployment.restarts] == ["checksum/config"]
    changed = [
        line for line in comparison.front_end if line[0] in "+-" and line[:3] not in "+++---"
    ]
    assert len(changed) == 2
    assert "--ctx-size 4096" in changed[1]
    assert comparison.budget is not None
    (load,) = (load for load in comparison.budget.loads if load.models == ("qwen3vl-4b",))
    assert load.before_mib is not None
    assert load.after_mib is not None
    assert load.before_mib < load.after_mib


def test_a_changed_image_is_one_field_of_one_object(
    planned: Callable[[str], Comparison],
) -> None:
    comparison = planned("changes-an-image")
    (change,) = comparison.objects
    (field,) = change.fields
    assert field.kubernetes_path == "spec.template.spec.containers[llama-swap].image"
    assert field.after.endswith(f"@sha256:{'c' * 64}")
    assert comparison.models == ()
    assert comparison.front_end == ()
    assert summary(comparison).startswith(
        "1 object changes, the pod restarts, nothing to download"
    )


def test_a_renamed_model_keeps_its_files(planned: Callable[[str], Comparison]) -> None:
    comparison = planned("renames-a-model")
    assert comparison.models is not None
    (model,) = comparison.models
    assert (model.action, model.was, model.id) == ("renamed", "qwen3vl-4b", "qwen3vl-small")
    assert comparison.files is not None
    assert comparison.files.download_bytes == comparison.files.free_bytes == 0
    assert "nothing to download" in summary(comparison)


def test_a_reformatted_registry_is_no_change(planned: Callable[[str], Comparison]) -> None:
    comparison = planned("reformats-the-registry")
    assert not comparison.differs
    assert summary(comparison) == "No change."


@pytest.mark.parametrize("name", EDITS)
def test_the_markdown_matches_the_golden_file(
    name: str, planned: Callable[[str], Comparison], update_golden: bool
) -> None:
    # The digests follow the programs of in_pod/.
    text = re.sub(r"\b[0-9a-f]{16}\.\.\.", "DIGEST", as_markdown(document(planned(name))))
    text = re.sub(r"model-download-[0-9a-f]{10}", "model-download-CONTENT", text)
    path = GOLDEN / f"{name}.md"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.usefixtures("read_once")
def test_the_exit_code_is_2_for_changes_and_all_three_reports_are_written(
    clone: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edits.change_a_context(clone)
    assert main(["plan", "--json", "--report", str(tmp_path / "report")]) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "report" / "plan.json").read_text())
    assert printed["counts"] == {"add": 0, "change": 5, "replace": 0, "remove": 0}
    assert printed["pod_restarts"] is True
    assert printed["files"]["download_bytes"] == 0
    assert printed["base"]["name"] == "merge base with main"
    whole = (tmp_path / "report" / "plan.md").read_text()
    assert whole.startswith(
        "## Plan for llama-cpp: 0 to add, 5 to change, 0 to replace, 0 to remove\n"
    )
    assert (tmp_path / "report" / "comment.md").read_text() == whole


def test_without_a_change_the_exit_code_is_0(
    clone: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both sides are synthesized here: a document must not follow from its tree's place."""
    assert clone.git("status", "--porcelain") == ""
    assert main(["plan"]) == 0
    assert "No change." in capsys.readouterr().out


@pytest.mark.usefixtures("read_once")
def test_a_model_that_does_not_fit_is_an_error_that_the_report_shows(
    clone: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone.registry("image_max_tokens=640,", "image_max_tokens=640,\n        context=131072,")
    assert main(["plan", "--markdown", "--report", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: model 'minicpm-v-4-5': context is 131072; expected")
    assert captured.err.count("\n") == 1
    for text in (captured.out, (tmp_path / "comment.md").read_text()):
        assert "Plan for llama-cpp: it does not synthesize" in text
        assert "**This cannot be deployed: <code>model &#39;minicpm-v-4-5&#39;" in text
    assert json.loads((tmp_path / "plan.json").read_text())["problem"].startswith("model 'mini")


@pytest.mark.usefixtures("read_once")
def test_an_engine_upgrade_shows_each_model_before_and_after(
    clone: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    edits.upgrade_the_engine(clone)
    grown = {"qwen3vl-8b": 100, "minicpm-v-4-5": 9000, "qwen3vl-4b": 0}
    edits.measure_the_upgrade(clone, grown)
    assert main(["plan", "--markdown"]) == 1
    captured = capsys.readouterr()
    (error,) = captured.err.splitlines()
    assert error.startswith("error: model 'minicpm-v-4-5': context is 3072; expected")
    assert "it needs 15349 MiB, 437 more than 14912 MiB of Tesla-T4" in error
    assert "\n- llama.cpp: b10524 before, b11434 after.\n" in captured.out
    for row in (
        "| <code>qwen3vl-8b</code> | 6744 | 6844 | 8068 |",
        "| <code>minicpm-v-4-5</code> | 6349 | 15349 | does not fit: -437 |",
        "| <code>qwen3vl-4b</code> | 4274 | 4274 | 10638 |",
    ):
        assert f"{row}\n" in captured.out


@pytest.mark.usefixtures("read_once")
def test_an_engine_upgrade_without_figures_asks_for_a_lock(
    clone: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    edits.upgrade_the_engine(clone)
    assert main(["plan", "--markdown"]) == 1
    captured = capsys.readouterr()
    (error,) = captured.err.splitlines()
    assert error.startswith("error: model 'qwen3vl-8b': memory is 'b10524 with ")
    assert "expected what llama.cpp b11434 takes with " in error
    assert error.endswith("Run `python -m ops lock`.")
    assert "\n- llama.cpp: b10524 before, b11434 after.\n" in captured.out


@pytest.mark.usefixtures("read_once")
def test_another_engine_build_alone_is_a_change(
    clone: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    clone.replace("stacks/production.py", "engine_build=10524", "engine_build=11434")
    edits.measure_the_upgrade(clone, {"qwen3vl-8b": 100, "minicpm-v-4-5": 0, "qwen3vl-4b": 0})
    assert main(["plan", "--markdown"]) == 2
    text = capsys.readouterr().out
    # The exporter's plan has the build and the figures.
    words = "2 objects change, the exporter restarts, nothing to download, "
    assert f"{words}fits with 7.9 GiB to spare." in text
    assert "| <code>qwen3vl-8b</code> | 6744 | 6844 | 8068 |\n" in text


def test_a_plan_that_fails_says_so_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert main(["plan", "--base", "nowhere", "--report", str(report)]) == 1
    reason = capsys.readouterr().err.removeprefix("error: ").strip()
    assert "nowhere" in reason
    for name in ("plan.md", "comment.md"):
        title, sentence = (report / name).read_text().strip().split("\n\n")
        assert title == "## Plan for llama-cpp: there is none"
        assert sentence.startswith("**The plan failed: <code>")
        assert "nowhere" in sentence
    assert not (report / "plan.json").exists()


@pytest.mark.usefixtures("read_once")
def test_a_base_that_does_not_synthesize_makes_everything_new(
    clone: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    clone.registry("image_max_tokens=640,", "image_max_tokens=640,\n        context=1,")
    broken = clone.commit("broken")
    clone.git("checkout", "--quiet", "main", "--", "llama_swap_config")
    assert main(["plan", "--json", "--base", broken]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert plan["base"]["problem"].startswith("model 'minicpm-v-4-5': context is 1;")
    added = plan["counts"]["add"]
    assert added >= 12
    assert plan["sentence"].startswith(
        f"The base does not synthesize, so everything is new: {added} objects are added"
    )
    assert [model["action"] for model in plan["models"]] == ["added"] * 3


def without_a_declaration(clone: Repository) -> None:
    """Name the modules of the declaration as no tree does, but for those of an older tree."""
    edits.forget_pools(clone)
    for path in (
        "main.py",
        "stacks/declared.py",
        "stacks/gateway_files.py",
        "stacks/llama_cpp.py",
        "stacks/pools.py",
    ):
        clone.replace(path, "llama_swap_config.declaration", "llama_swap_config.unknown")
    config = clone.root / "llama_swap_config"
    (config / "declaration.py").rename(config / "unknown.py")
    for path in ("stacks/production.py", "stacks/declared.py"):
        clone.replace(path, "stacks.settings", "stacks.unknown")
    clone.replace("stacks/declared.py", '"stacks.production"', '"stacks.settings"')
    stacks = clone.root / "stacks"
    (stacks / "settings.py").rename(stacks / "unknown.py")
    (stacks / "production.py").rename(stacks / "settings.py")


def test_a_base_with_the_older_layout_has_a_budget(
    clone: Repository, sides: Sides, tmp_path: Path
) -> None:
    without_a_declaration(clone)
    (clone.root / "ops/commands/fit/text.py").rename(clone.root / "ops/fit_text.py")
    (clone.root / "llama_swap_config/consumers.py").unlink()
    base = read_side(clone.root, tmp_path / "out")
    clone.branch("mine")
    head = sides.read(clone.root, tmp_path / "head")
    assert base.fit == head.fit
    assert base.fit is not None
    changes = compare(base, head, revision=BASE, rate_mb_s=50).consumers
    assert changes is not None
    assert {change.action for change in changes} == {"added"}


def test_facts_that_an_older_base_lacks_are_unknown(
    clone: Repository, sides: Sides, tmp_path: Path
) -> None:
    (clone.root / "ops/commands/fit/text.py").unlink()
    without_a_declaration(clone)
    config = clone.root / "llama_swap_config"
    (config / "lock" / "file.py").rename(config / "lock" / "read.py")
    clone.replace("llama_swap_config/unknown.py", "config.lock.file", "config.lock.read")
    base = read_side(clone.root, tmp_path / "out")
    assert base.problem is None
    assert (base.models, base.fit) == (None, None)
    clone.branch("mine")
    head = sides.read(clone.root, tmp_path / "head")
    comparison = compare(base, head, revision=BASE, rate_mb_s=50)
    assert (comparison.models, comparison.files) == (None, None)
    assert "The base's models and files are unknown." in as_markdown(document(comparison))
