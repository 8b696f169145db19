"""A directory for `up`, whose cluster and servers end with the context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.commands.serve import run as serve
from ops.embedded import cluster as embedded
from ops.machine import gateway, monitoring


@contextmanager
def up_apart(folder: Path, state_dir: Path) -> Iterator[None]:
    """Let `up` neither find the provider nor change the environment of other tests.

    Without the provider it applies the objects itself, which is faster.

    Args:
        folder: An empty directory for what it writes elsewhere.
        state_dir: Its directory.
    """
    (folder / "mirror").mkdir()
    config = folder / "terraformrc"
    config.write_text(
        f'provider_installation {{ filesystem_mirror {{ path = "{folder / "mirror"}" }} }}\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CLI_CONFIG_FILE", str(config))
        patch.setenv("CDKTF_OUTDIR", str(folder / "cdktf.out"))
        patch.delenv("LLAMA_API_KEY", raising=False)
        for name in ("PG_CONN_STR", "KUBE_CONFIG_PATH", "KUBE_CTX", "KUBECONFIG"):
            patch.setenv(name, "")  # `up` sets them; this puts them back afterwards.
        try:
            yield
        finally:
            gateway.stop(state_dir)
            monitoring.stop(state_dir)
            serve.stop(state_dir)
            embedded.down(state_dir, say=print)
