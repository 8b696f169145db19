"""The file of a plan: a later command removes it if it was abandoned, and only then."""

from __future__ import annotations

from pathlib import Path

from ops.terraform.plan_file import plan_file, remove_abandoned


def test_a_plan_is_removed_at_its_end_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    with plan_file(tmp_path) as path:
        path.write_text("the state")
        assert path.parent.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_killed_command_is_removed_and_another_one_is_not(tmp_path: Path) -> None:
    left = tmp_path / "plan-left"
    left.mkdir()
    (left / "plan").write_text("the state")
    kept = tmp_path / "errored.tfstate"
    kept.touch()
    with plan_file(tmp_path) as path:
        path.touch()
        remove_abandoned(tmp_path)
        assert {*tmp_path.iterdir()} == {path.parent, kept}
        assert path.exists()
