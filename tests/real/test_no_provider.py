"""`up` where Terraform cannot get the provider: it says so, and all the rest is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_swap_config.registry import REGISTRY
from ops import embedded, serve
from ops.cli import main
from ops.up import up


def test_up_applies_server_side_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    config = tmp_path / "terraformrc"
    config.write_text(f'provider_installation {{ filesystem_mirror {{ path = "{mirror}" }} }}\n')
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(config))
    monkeypatch.setenv("CDKTF_OUTDIR", str(tmp_path / "cdktf.out"))
    for name in ("PG_CONN_STR", "KUBE_CONFIG_PATH", "KUBE_CTX", "KUBECONFIG"):
        monkeypatch.setenv(name, "")  # `up` sets them; this puts them back afterwards.
    state_dir = tmp_path / "state"
    try:
        deployed = up(state_dir, say=print)
        assert serve.find(state_dir) == deployed.served
        assert main(["down", "--state-dir", str(state_dir)]) == 0
        assert serve.find(state_dir) is None
        assert embedded.find(state_dir) is None
    finally:
        serve.stop(state_dir)
        embedded.down(state_dir, say=print)
    assert deployed.way.startswith(
        "server-side apply, because terraform cannot get the provider hashicorp/kubernetes"
    )
    assert len(deployed.objects) == 12
    assert [each for each in deployed.workloads if not each.settled] == []
    assert deployed.store.status().is_whole
    assert [each.model for each in deployed.answers] == [model.id for model in REGISTRY]
    assert all(each.text.strip() for each in deployed.answers)
