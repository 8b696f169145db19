"""New shells, without the environment of this process, in a home of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import yaml

from ops.embedded.cluster import EmbeddedCluster
from ops.machine.ports import RANGE_VARIABLE
from ops.terraform.program import find
from tests.real.deploy.activated import Shell, ended
from tests.real.pages.other_cluster import OtherCluster

_OF_HOME = (".cache", ".terraform.d", ".terraformrc", ".tofurc")
"""What built programs and Terraform's provider are found by."""
_YES = {
    "Apply this plan? [y/N]: ": "y\n",
    "Take this over? [y/N]: ": "y\n",
    "Enter a value: ": "yes\n",
}
"""The questions of `deploy`, `adopt` and `terraform apply`."""


class Terminal:
    """Opens a shell for each command, as an operator does in a new window."""

    def __init__(self, checkout: Path, home: Path) -> None:
        """Prepare the environment of each shell.

        Args:
            checkout: The directory in which each shell starts.
            home: The operator's home.
        """
        self.checkout = checkout
        programs = (shutil.which("kubectl"), find(None).path, "/usr/bin/env", "/bin/sh")
        folders = dict.fromkeys(str(Path(path).parent) for path in programs if path)
        self._environment = {"HOME": str(home), "PATH": ":".join(folders)}
        if RANGE_VARIABLE in os.environ:  # The ports of this process.
            self._environment[RANGE_VARIABLE] = os.environ[RANGE_VARIABLE]

    def type(self, lines: str, *, exit_code: int = 0) -> str:
        """Type lines in a new shell, and return what they printed.

        Args:
            lines: The first that fails ends the shell.
            exit_code: What the shell must exit with.
        """
        with ended(Shell(self.checkout, f"set -e\n{lines}\n", self._environment)) as shell:
            exited = shell.end(_YES)
            assert exited == exit_code, f"{lines}\nexited with {exited}: {shell.text}"
            return shell.text


def make_home(folder: Path, other: OtherCluster) -> Path:
    """Make an operator's home, whose kubeconfig has another cluster as current context."""
    for name in _OF_HOME:
        if (path := Path.home() / name).exists():
            (folder / name).symlink_to(path)
    write_kubeconfig(
        folder,
        {
            "apiVersion": "v1",
            "kind": "Config",
            "users": [{"name": "other", "user": {"token": "none"}}],
            "clusters": [{"name": "other", "cluster": {"server": other.server}}],
            "contexts": [{"name": "other", "context": {"cluster": "other", "user": "other"}}],
            "current-context": "other",
        },
    )
    return folder


def add_cluster(home: Path, cluster: EmbeddedCluster, *, context: str) -> None:
    """Add a cluster to the kubeconfig, under another context's name."""
    config = yaml.safe_load((home / ".kube" / "config").read_text())
    added = yaml.safe_load(cluster.kubeconfig.read_text())
    added["contexts"][0]["name"] = context
    for kind in ("users", "clusters", "contexts"):
        config[kind] += added[kind]
    write_kubeconfig(home, config)


def write_kubeconfig(home: Path, config: dict[str, object]) -> None:
    (home / ".kube").mkdir(exist_ok=True)
    (home / ".kube" / "config").write_text(yaml.safe_dump(config))
    (home / ".kube" / "config").chmod(0o600)
