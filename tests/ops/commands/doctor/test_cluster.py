"""How `doctor --cluster` says what it found, and what it says where there is little to find."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ops.cli import main
from ops.commands.doctor.cluster import examine, text
from ops.commands.doctor.cluster.check import Check, not_known
from ops.commands.doctor.cluster.examine import Examination
from ops.terraform.manifests import manifests
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS
from tests.fakes.api_server import Answers, api_server

OK = Check(name="API server", found="v1.36.3", wanted="answers")
HINT = Check(
    name="quotas", found="one", wanted="none", status="wrong", is_needed=False, remedy="Compare."
)
BLOCKS = Check(name="GPU", found="0 cards", wanted="1 card", status="wrong", remedy="Install it.")
UNKNOWN = not_known("Secret keys", "403: forbidden")
UNKNOWN_HINT = not_known("clients", "403: forbidden", is_needed=False)
VERSION = {"/version": (200, {"gitVersion": "v1.36.3"})}


def shown_of(*checks: Check) -> str:
    output = StringIO()
    text.show(Console(width=120, file=output), Examination(checks=checks))
    return output.getvalue()


@pytest.mark.parametrize(
    ("checks", "works", "last_line"),
    [
        ((OK, HINT, UNKNOWN_HINT), True, "  deploy    works"),
        ((OK, HINT, UNKNOWN), None, "  deploy    not known: Secret keys"),
        ((UNKNOWN, BLOCKS), False, "  deploy    does not work: GPU"),
    ],
)
def test_what_is_not_known_does_not_count_as_ok(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checks: tuple[Check, ...],
    works: bool | None,
    last_line: str,
) -> None:
    assert shown_of(*checks).splitlines()[-1] == last_line
    monkeypatch.setattr(examine, "examine", lambda *_: Examination(checks=checks))
    assert main(["doctor", "--cluster", "--json"]) == (0 if works else 1)
    output = capsys.readouterr()
    assert json.loads(output.out)["works"] == {"deploy": works}
    assert bool(output.err) == (not works)


def test_the_error_is_of_what_is_wrong_before_what_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examination = Examination(checks=(UNKNOWN, BLOCKS))
    monkeypatch.setattr(examine, "examine", lambda *_: examination)
    main(["doctor", "--cluster"])
    assert capsys.readouterr().err == "error: GPU: 0 cards; expected 1 card. Install it.\n"


def test_each_check_has_its_verdict_and_what_to_do() -> None:
    rows = [" ".join(line.split()) for line in shown_of(OK, HINT, BLOCKS, UNKNOWN).splitlines()]
    assert {
        "API server ok v1.36.3 answers",
        "quotas hint one none",
        "GPU blocks 0 cards 1 card",
        "Secret keys not known - -",
        "quotas: Compare.",
        "GPU: Install it.",
        "Secret keys: 403: forbidden",
    } <= set(rows)
    assert "API server:" not in " ".join(rows)


@pytest.mark.parametrize(
    ("status", "names"),
    [(503, ["API server", "everything else in the cluster"]), (401, None), (404, None)],
)
def test_a_server_that_only_tells_its_version(
    monkeypatch: pytest.MonkeyPatch,
    production: dict[str, Any],
    tmp_path: Path,
    status: int,
    names: list[str] | None,
) -> None:
    paths = ("/apis/authentication.k8s.io/v1/selfsubjectreviews",)
    answers: Answers = VERSION | {path: (status, {"message": "no"}) for path in paths}
    with api_server(tmp_path, answers) as target:
        monkeypatch.setenv("KUBE_CONFIG_PATH", str(target.config_path))
        monkeypatch.setenv("KUBE_CTX", target.context)
        checks = tuple(examine._cluster(SETTINGS, manifests(production)))
    if names is not None:
        assert [check.name for check in checks] == names
        assert checks[0].blocks
        assert "does not answer (503: no)" in checks[0].remedy
    else:
        by_name = {check.name: check.verdict for check in checks}
        assert by_name["account"] == by_name["rights"] == "not known"
        assert by_name["GPU node"] == "blocks"


def test_settings_that_do_not_load_are_named_as_at_synth(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True)
    production = tree / "stacks" / "production.py"
    production.write_text(production.read_text().replace('product="Tesla-T4"', 'product="RTX-1"'))
    commands = (["main.py"], ["-m", "ops", "doctor", "--cluster"])
    ended = [
        subprocess.run([sys.executable, *words], cwd=tree, capture_output=True, text=True)
        for words in commands
    ]
    assert [each.returncode for each in ended] == [1, 1]
    assert ended[0].stderr == ended[1].stderr
    assert ended[1].stderr.startswith("error: settings: gpu.product is 'RTX-1'; expected ")
