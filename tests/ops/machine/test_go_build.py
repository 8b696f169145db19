"""Building a Go module, with a stand-in for Go."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine.build_display import Count
from ops.machine.go_build import compiled, go_install

GO = """#!/bin/sh
echo "$*" >> {calls}
case "$1" in
version) echo "go version go1.26.6 linux/amd64" ;;
list) echo "go: downloading example.org/a v1"; echo "stale a"; echo ""; echo "stale b" ;;
install) {fault}
    echo a; echo b; touch "$GOBIN/server" ;;
esac
"""


def go(folder: Path, fault: str = "") -> Path:
    """Put a `go` into a directory; return the file of its calls."""
    calls = folder / "calls"
    (folder / "go").write_text(GO.format(calls=calls, fault=fault))
    (folder / "go").chmod(0o755)
    return calls


def install(folder: Path) -> None:
    go_install("it", folder, folder, work=folder, flags=("-ldflags=-s",), say=print)


def test_go_lists_what_it_has_to_compile_and_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    calls = go(tmp_path)
    install(tmp_path)
    assert (tmp_path / "server").is_file()
    _version, listed, installed = calls.read_text().splitlines()
    flags = "-gcflags=all=-dwarf=false -ldflags=-s tool"
    assert listed == f"list -deps -f={{{{if .Stale}}}}stale {{{{.ImportPath}}}}{{{{end}}}} {flags}"
    assert installed.startswith("install -v -p=")
    assert installed.endswith(f" {flags}")


def test_a_module_proxy_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    go(tmp_path, "echo 'go: a@v1: dial tcp: lookup proxy.invalid: no such host'; exit 1")
    with pytest.raises(OpsError, match=r"no package registry answers \(dial tcp: lookup proxy"):
        install(tmp_path)


def test_packages_are_counted_and_messages_are_not() -> None:
    output = "go: downloading a v1\na\n\nb\n"
    assert compiled(output, 4) == Count(done=2, total=4, unit="packages")
    assert compiled(output, 1).done == 1
