"""A machine on which Terraform cannot get the provider: `up` says so, and applies server-side."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import embedded
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
    finally:
        embedded.down(state_dir, say=print)
    assert deployed.way.startswith(
        "server-side apply, because terraform cannot get the provider hashicorp/kubernetes"
    )
    assert len(deployed.objects) == 12
    assert [each for each in deployed.workloads if not each.settled] == []
