"""`python -m ops plan` where base or head has several pools."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from ops.commands.plan.as_json import as_json
from ops.commands.plan.comparison import Comparison, compare
from ops.commands.plan.models import file_changes
from ops.commands.plan.pools import pool_changes, volume_changes
from ops.commands.plan.refresh import disagreements
from ops.commands.plan.revision import Revision
from ops.commands.plan.sections import document
from ops.commands.plan.side import Side, read_side
from ops.report.markdown import COMMENT_BYTES, as_markdown
from ops.terraform.changes import Action, ResourceChange
from ops.terraform.plan_document import terraform_document
from ops.terraform.verdict import judge
from tests.declaration.pools import RTX3090, T4, TWO_CARDS
from tests.ops.commands.plan import repository as edits
from tests.ops.commands.plan.agreement import shown
from tests.ops.commands.plan.repository import Repository


class Trees(NamedTuple):
    """A tree with one pool, with three, and with three whose models have moved."""

    one: Side
    three: Side
    moved: Side


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    folder = tmp_path_factory.mktemp("pools")
    repository = Repository(folder / "clone")
    one = read_side(repository.root, folder / "one")
    repository.branch("three")
    edits.declare_pools(repository)
    repository.commit("three")
    three = read_side(repository.root, folder / "three")
    edits.house(
        repository,
        {
            "qwen3vl-8b": (T4, RTX3090),
            "minicpm-v-4-5": (RTX3090, TWO_CARDS),
            "qwen3vl-4b": (T4,),
        },
    )
    moved = read_side(repository.root, folder / "moved")
    assert (one.problem, three.problem, moved.problem) == (None, None, None)
    return Trees(one, three, moved)


def planned(base: Side, head: Side) -> Comparison:
    revision = Revision(commit="0" * 40, name="main")
    return compare(base, head, revision=revision, rate_mb_s=50)


def sentence(comparison: Comparison) -> str:
    text: str = as_json(comparison)["sentence"]
    return text


def test_two_pools_are_added_and_the_first_keeps_its_objects(trees: Trees) -> None:
    comparison = planned(trees.one, trees.three)

    assert [(pool.name, pool.was, pool.action, pool.volume) for pool in comparison.pools] == [
        (T4, "main", "renamed", T4),
        (RTX3090, RTX3090, "added", T4),
        (TWO_CARDS, TWO_CARDS, "added", TWO_CARDS),
    ]
    assert {change.action for change in comparison.objects} == {"create", "update", "replace"}
    said = sentence(comparison)
    assert ", the pod of t4 restarts, the exporter of t4 restarts, 2 pools are added, " in said
    assert said.endswith("fits with 8.0 GiB to spare on t4.")


def test_objects_of_one_name_are_told_apart_by_their_namespaces(trees: Trees) -> None:
    text = shown(planned(trees.one, trees.three))

    assert "| change | Deployment llama-cpp/llama-swap |" in text
    assert "| add | Deployment llama-cpp-rtx3090/llama-swap |" in text
    assert "| add | PersistentVolume llama-cpp-two-cards-models |" in text
    assert "head/llama-cpp-two-cards/llama-swap.yaml" in text


def test_a_move_says_what_is_downloaded_where_and_which_pods_restart(trees: Trees) -> None:
    text = shown(planned(trees.three, trees.moved))

    assert (
        "- qwen3vl-8b moves from rtx3090 to t4, its second home is rtx3090; nothing to download.\n"
        "- minicpm-v-4-5 moves from two-cards to rtx3090, its second home is two-cards; 5.7 GiB "
        "to download to the volume of t4; the pod of rtx3090 restarts.\n"
        "- qwen3vl-4b stays in t4, without a second home; nothing to download; the pod of "
        "two-cards restarts.\n"
    ) in text
    assert "- 5.7 GiB to download to the volume of t4: 2 min at 50 MB/s.\n" in text
    assert "- The upkeep of two-cards frees 3.1 GiB after its grace period.\n" in text


def test_homes_before_there_were_pools_are_the_first_pool(trees: Trees) -> None:
    comparison = planned(trees.one, trees.three)

    assert [(move.model, move.before, move.after) for move in comparison.moves] == [
        ("qwen3vl-8b", (T4,), (RTX3090, T4)),
        ("minicpm-v-4-5", (T4,), (TWO_CARDS,)),
        ("qwen3vl-4b", (T4,), (T4, TWO_CARDS)),
    ]


def test_each_pool_has_its_own_budget(trees: Trees) -> None:
    text = shown(planned(trees.three, trees.moved))

    assert "| rtx3090 | qwen3vl-8b + minicpm-v-4-5 |  | 13093 | 10807 |\n" in text
    assert "| two-cards | qwen3vl-4b | 4274 |  |  |\n" in text
    assert "- rtx3090: Volume: that of t4.\n" in text
    assert "- t4: Volume: 14.6 GiB of 30.0 GiB before, 20.3 GiB of 30.0 GiB after," in text


def test_a_new_pool_has_no_base_that_could_be_unknown(trees: Trees) -> None:
    text = shown(planned(trees.one, trees.three))

    assert "The base's budget is unknown." not in text
    assert "- two-cards: Volume: 14.5 GiB of 40.0 GiB after," in text


def test_back_to_one_pool_the_volumes_of_the_others_free_nothing(trees: Trees) -> None:
    comparison = planned(trees.three, trees.one)

    assert [(pool.name, pool.action) for pool in comparison.pools] == [
        ("main", "renamed"),
        (RTX3090, "removed"),
        (TWO_CARDS, "removed"),
    ]
    assert comparison.files is not None
    assert [(file.volume, file.repository) for file in comparison.files.download] == [
        ("", "openbmb/MiniCPM-V-4_5-gguf"),
        ("", "openbmb/MiniCPM-V-4_5-gguf"),
    ]
    assert comparison.files.free == ()
    text = shown(comparison)
    assert ", 2 pools are removed, 5.7 GiB to download " in text
    assert "A deploy refuses to remove PersistentVolumeClaim llama-cpp-two-cards/models" in text
    assert "- minicpm-v-4-5 moves from two-cards to main; 5.7 GiB to download; " in text


def test_the_json_has_each_pool_and_each_move(trees: Trees) -> None:
    written = json.loads(json.dumps(as_json(planned(trees.three, trees.moved))))

    assert [pool["name"] for pool in written["pools"]] == [T4, RTX3090, TWO_CARDS]
    assert written["budget"] == written["pools"][0]["budget"]
    assert [pool["budget"]["volume"] is None for pool in written["pools"]] == [False, True, False]
    assert written["pools"][1]["budget"]["loads"][-1]["models"] == ["qwen3vl-8b", "minicpm-v-4-5"]
    assert written["moves"][1] == {
        "model": "minicpm-v-4-5",
        "before": [TWO_CARDS],
        "after": [RTX3090, TWO_CARDS],
        "download_bytes": {T4: 6121827488},
    }
    assert {file["volume"] for file in written["files"]["download"]} == {T4}


def test_with_one_pool_no_word_of_pools_is_written(trees: Trees) -> None:
    written = as_json(planned(trees.one, trees.one))

    assert not {"pools", "moves"} & written.keys()


def test_equal_trees_with_several_pools_do_not_differ(trees: Trees) -> None:
    comparison = planned(trees.three, trees.three)

    assert not comparison.differs
    assert sentence(comparison) == "No change."


def test_a_plan_of_three_pools_fits_into_a_comment(trees: Trees) -> None:
    for base, head in ((trees.one, trees.three), (trees.three, trees.one)):
        assert len(as_markdown(document(planned(base, head))).encode()) < COMMENT_BYTES / 2


def test_an_older_tree_has_one_pool(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "clone")
    edits.forget_pools(repository)

    side = read_side(repository.root, tmp_path / "out")

    assert side.problem is None
    (pool,) = side.pools
    assert (pool["name"], pool["namespace"], pool["node"]) == ("main", "llama-cpp", {})
    assert pool["fit"] == side.fit
    assert side.fit is not None


def homeless(side: Side) -> Side:
    """A tree that does not say where its models live: of its pools nothing is known."""
    return replace(side, synthesized=None, problem="no home", pools=(), fit=None)


def test_pools_that_the_head_declares_wrongly_are_not_removed(trees: Trees) -> None:
    comparison = planned(trees.three, homeless(trees.three))

    assert (comparison.pools, comparison.moves, comparison.files) == ((), (), None)
    text = shown(comparison)
    assert text.startswith("## Plan for llama-cpp: it does not synthesize")
    assert "removed" not in text


def test_where_the_files_of_a_base_without_homes_are_is_unknown(trees: Trees) -> None:
    comparison = planned(homeless(trees.three), trees.three)

    assert {pool.action for pool in comparison.pools} == {"added"}
    assert (comparison.moves, comparison.files) == ((), None)
    assert ", 3 pools are added, the base's files are unknown, " in sentence(comparison)


def test_unknown_pools_are_one() -> None:
    files = [{"repository": "r", "name": "n", "sha256": "a", "size_bytes": 1}]
    model = {"fields": {"id": "m"}, "files": files}

    assert pool_changes((), ()) == ()
    assert volume_changes((), (), models_before=(), models_after=(model,)) == file_changes(
        (), (model,)
    )


def change(type_: str, name: str, namespace: str, action: Action) -> ResourceChange:
    return ResourceChange(
        address=f"{type_}.{namespace}_{name}_0123ABCD",
        type=type_,
        namespace=namespace,
        name=name,
        action=action,
        before={},
        after={},
        replace_paths=(),
    )


def test_terraforms_own_plan_tells_objects_of_one_name_apart() -> None:
    namespaces = [
        change("kubernetes_namespace_v1", name, "", "no-op") for name in ("one", "another")
    ]
    service = change("kubernetes_service_v1", "llama-swap", "another", "create")
    volume = change("kubernetes_persistent_volume_v1", "models", "", "create")

    for changes, name in (
        ((*namespaces, service, volume), "another/llama-swap"),
        ((namespaces[0], service, volume), "llama-swap"),
    ):
        text = as_markdown(terraform_document(judge(changes)))
        assert f"Service <code>{name}</code>" in text
        assert "PersistentVolume <code>models</code>" in text
        assert [it.name for it in disagreements((), changes)] == [name, "models"]
