"""`ops adopt` over an endpoint of hand-written HCL, with the real tools and the real provider."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.cli import main
from ops.terraform.program import Program
from ops.terraform.run import Terraform
from tests.declaration.resources import RESOURCES
from tests.real.adopt.running import DEPLOYMENT, KEPT, NAMESPACE, Running, nothing_changed
from tests.real.deploy import hand_written
from tests.real.deploy.applied import apply, finds_changes
from tests.real.deploy.tools import BOTH_TOOLS

Declare = Callable[..., None]
Json = dict[str, Any]

ADDRESSES = hand_written.ADDRESSES


@BOTH_TOOLS
def test_the_endpoint_is_taken_over_and_the_next_plan_is_empty(
    running: Running, apart: Path, tool: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uids, pods, state = running.uids(), running.pods(), running.state()
    assert set(uids) == set(KEPT)
    copies = tmp_path / "copies"

    assert main(["adopt", "--yes", "--copies", str(copies)]) == 0

    output = capfd.readouterr()
    shown = output.out
    assert "4 to import, 29 to add, 4 to change, 1 to replace, 0 to remove, 7 to forget" in shown
    words = " ".join(shown.split())
    assert "Service llama-swap kubernetes_service.llama_swap 11 fields set in place" in words
    assert "deleted and made anew, and its pods restart: spec.selector.matchLabels" in words
    assert "spec.strategy.type: RollingUpdate -> Recreate" in shown
    assert "spec.selector[app]: llama-swap -> not set" in shown
    assert "containers[llama-swap].env: HF_TOKEN -> HOME, " in shown
    assert "Deployment notes keeps running, and the card if it has it" in shown
    assert "The old code shares the state in schema llama-cpp" in shown
    assert hand_written.SECRET not in output.out + output.err
    assert "Job download-models, until now kubernetes_job_v1.download_models; to" in words
    assert "-n llama-cpp delete job download-models" in words
    assert "-n llama-cpp delete configmap llama-swap-config" in words
    # Nothing that exists is gone but what the preview named.
    assert running.uids() == uids
    assert running.uids(DEPLOYMENT).keys() == {DEPLOYMENT}
    running.until_pods_run()
    assert running.pods()["notes"] == pods["notes"]
    claim = running.api.get(f"{NAMESPACE}/persistentvolumeclaims/llama-cpp-models")
    assert claim is not None
    assert claim["status"]["phase"] == "Bound"
    # The old state is kept, and the new one has our objects only.
    (copy,) = copies.iterdir()
    assert json.loads(copy.read_text()) == json.loads(state)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    terraform = Terraform(apart)
    entries = terraform.checked("state", "list").split()
    assert len(entries) == len(RESOURCES)
    assert not ADDRESSES & set(entries)
    assert not finds_changes(terraform)
    assert main(["deploy", "--yes"]) == 0


def test_a_state_of_another_project_is_refused(
    running: Running, declare: Declare, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Their database may be of use to another schema, but not this schema to us."""
    del declare
    document = json.loads((running.hcl.directory / "main.tf.json").read_text())
    resources = document["resource"]
    resources["terraform_data"] = {"theirs": {"input": "1"}}
    resources["kubernetes_namespace"]["others"] = {"metadata": {"name": "others"}}
    (running.hcl.directory / "main.tf.json").write_text(json.dumps(document))
    apply(running.hcl)

    def refused() -> None:
        assert main(["adopt", "--yes"]) == 3

    nothing_changed(running, refused)
    (line,) = capfd.readouterr().err.splitlines()
    assert "would forget kubernetes_namespace.others, terraform_data.theirs (perhaps of an" in line
    assert "Set state_schema to a schema of its own" in line
    assert "kubernetes_namespace.llama_cpp" not in line

    uids = running.uids("/api/v1/namespaces/others")
    forget = ["kubernetes_namespace.others", "terraform_data.theirs"]
    options = [f"--forget={address}" for address in (*forget, "terraform_data.none")]
    assert main(["adopt", "--yes", "--copies", str(tmp_path), *options]) == 0
    output = capfd.readouterr()
    assert "--forget terraform_data.none: the plan does not change it" in output.out + output.err
    assert running.uids("/api/v1/namespaces/others") == uids


def test_the_way_back_is_the_copy_of_the_state(
    running: Running, declare: Declare, tmp_path: Path
) -> None:
    """The old state goes back; the HCL then makes its own Deployment again, and nothing more."""
    del declare
    assert main(["adopt", "--yes", "--copies", str(tmp_path / "copies")]) == 0
    (copy,) = (tmp_path / "copies").iterdir()
    uids = running.uids()

    running.hcl.checked("state", "push", "-force", str(copy))
    changed = {
        each.address: each.action for each in running.hcl.changes() if each.action != "no-op"
    }
    assert "delete" not in changed.values()
    assert changed["kubernetes_deployment.llama_swap"] == "replace"
    apply(running.hcl)
    assert not finds_changes(running.hcl)
    assert running.uids() == uids
    # The namespace keeps the label that the old pod does not meet; docs/moving.md removes it.
    labels = {
        f"pod-security.kubernetes.io/{level}": None for level in ("enforce", "audit", "warn")
    }
    running.api.request("PATCH", NAMESPACE, {"metadata": {"labels": labels}})
    running.until_pods_run()
    pod = running.api.get(f"{NAMESPACE}/pods?labelSelector=app=llama-swap") or {}
    assert [each["status"]["phase"] for each in pod["items"]] == ["Running"]
