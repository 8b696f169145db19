"""Installing cdktf-cli, with the real npm."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine.node import install_packages, packages_installed


def test_a_registry_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")  # Nobody listens there.
    lines: list[str] = []
    with pytest.raises(OpsError) as caught:
        install_packages(lines.append)
    assert str(caught.value) == (
        "no package registry answers (attempt 1 failed with ECONNREFUSED), so cdktf-cli was not "
        "built. Check the network, then run the command again."
    )
    assert lines[0] == "installing cdktf-cli and what it needs, 430 MB, with npm"
    assert packages_installed() is None
