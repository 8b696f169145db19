"""Objects that the state lacks: their import blocks, and the moves before them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.terraform.adoption import FILE, Adoption, adoption_blocks
from ops.terraform.changes import Action, ResourceChange
from ops.terraform.verdict import judge
from tests.ops.terraform.test_verdict import OURS

JOB = "kubernetes_job_v1.model-download_2FAC35D3"


def change(
    action: Action, address: str = JOB, *, name: str = "new", namespace: str = "llama-cpp"
) -> ResourceChange:
    before = {"metadata": [{"name": "old", "namespace": namespace, "labels": OURS}]}
    return ResourceChange(
        address=address,
        type=address.partition(".")[0],
        namespace=namespace,
        name=name,
        action=action,
        before=before if action == "replace" else {},
        after={"metadata": [{"name": name, "namespace": namespace}]},
        replace_paths=(),
    )


def test_the_blocks_exist_only_within_their_context(tmp_path: Path) -> None:
    volume = change("create", "kubernetes_persistent_volume_v1.v_0123ABCD", namespace="")
    with adoption_blocks(tmp_path, [change("create"), volume]):
        written = tmp_path / FILE
        assert json.loads(written.read_text()) == {
            "import": [
                {"to": JOB, "id": "llama-cpp/new"},
                {"to": volume.address, "id": "new"},
            ]
        }
        assert written.stat().st_mode & 0o077 == 0
    assert not written.exists()
    with pytest.raises(KeyboardInterrupt), adoption_blocks(tmp_path, [volume]):
        raise KeyboardInterrupt
    assert not written.exists()


def test_an_entry_of_somebody_else_is_forgotten_once_without_its_index(tmp_path: Path) -> None:
    """A removed block takes no index of `count` or `for_each`, and no address twice."""
    addresses = ("module.nfs[0].kubernetes_service.s", "module.nfs[1].kubernetes_service.s")
    quoted = 'kubernetes_service.all["a.b\\"]"]'
    forgotten = [change("delete", address) for address in (*addresses, quoted)]
    with adoption_blocks(tmp_path, forgotten=forgotten):
        document = json.loads((tmp_path / FILE).read_text())
    assert document == {
        "removed": [
            {"from": address, "lifecycle": {"destroy": False}}
            for address in ("module.nfs.kubernetes_service.s", "kubernetes_service.all")
        ]
    }


def test_what_the_stack_forgets_by_itself_gets_no_second_block() -> None:
    entries = (change("delete", "kubernetes_service.a"), change("forget", "kubernetes_service.b"))
    adoption = Adoption(changes=(), forgotten=entries)
    assert adoption.to_forget == entries[:1]
    assert not adoption.is_empty
    assert Adoption(changes=()).is_empty


def test_without_objects_what_a_killed_deploy_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with adoption_blocks(tmp_path, ()):
        pass
    assert not (tmp_path / FILE).exists()


def test_an_entry_of_the_state_is_moved_only_where_it_is_in_the_way() -> None:
    assert Adoption(changes=(change("create"),)).moves == {}
    (aside,) = Adoption(changes=(change("create"),), vanished=frozenset({JOB})).moves.values()
    replaced = Adoption(changes=(change("replace"),)).moves
    assert replaced == {JOB: aside}
    assert Adoption(changes=(change("replace", name="third"),)).moves != replaced


def test_the_predicted_plan_imports_the_new_object_and_removes_the_old_one() -> None:
    """The moved entry passes the judge as ours, as it does when a deploy has moved it."""
    other = change("create", "kubernetes_service_v1.other_0123ABCD")
    adoption = Adoption(changes=(change("replace"),))
    imported, removed, created = adoption.predict((change("replace"), other))
    assert (imported.action, imported.name, imported.address) == ("import", "new", JOB)
    assert (removed.action, removed.name) == ("delete", "old")
    assert removed.address == adoption.moves[JOB]
    assert created == other
    assert judge((imported, removed, created)).refused == ()

    gone = Adoption(changes=(change("create"),), vanished=frozenset({JOB}))
    assert [each.action for each in gone.predict((change("create"),))] == ["import"]
