"""`cdktf deploy llama-cpp`, typed in a fresh clone as the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.program import PROVIDER, find
from ops.terraform.run import Terraform
from tests.conftest import ROOT
from tests.declaration.resources import RESOURCES
from tests.real.deploy.activated import shell
from tests.real.deploy.applied import finds_changes

PAGES = ("README.md", "docs/operating.md")
DEPLOY = re.compile(r"^ {4,}((?:\S+=\S+ )*cdktf deploy .*)$", re.MULTILINE)
ACTIVATE = re.compile(r"`(source \S+)`")


@pytest.fixture
def typed() -> str:
    """The lines of the pages: the environment, then the deploy."""
    (activate,) = ACTIVATE.findall((ROOT / "README.md").read_text())
    ((deploy,), *others) = (DEPLOY.findall((ROOT / page).read_text()) for page in PAGES)
    assert others == [[deploy]]
    assert "`make install`" in (ROOT / "README.md").read_text()
    return f"{activate}\n{deploy}\n"


def test_without_the_provider_cdktf_says_so(
    fresh: Path, cluster: EmbeddedCluster, typed: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    config = tmp_path / "terraformrc"
    config.write_text(
        f'provider_installation {{ filesystem_mirror {{ path = "{tmp_path / "empty"}" }} }}\n'
    )
    settings = {"TF_CLI_CONFIG_FILE": str(config), **cluster.environment()}
    with shell(fresh / "docs", typed.replace("source ", "source ../"), **settings) as operator:
        assert operator.end() == 1
        assert PROVIDER in operator.text
        assert "terraform init failed with exit code 1" in operator.text
    assert (fresh / "cdktf.out/stacks/llama-cpp/cdk.tf.json").exists()


@pytest.mark.usefixtures("provider")
def test_typed_deploy_asks_and_creates_the_stack(
    fresh: Path, cluster: EmbeddedCluster, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shell(fresh, typed, **cluster.environment()) as operator:
        operator.until("Please review the diff output above")
        operator.until("Approve")
        operator.until_keys_are_read()
        operator.type("\r")
        assert operator.end() == 0, operator.text
    assert f"Apply complete! Resources: {len(RESOURCES)} added" in operator.text
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    assert not finds_changes(Terraform(fresh / "cdktf.out/stacks/llama-cpp", program=find(None)))


@pytest.mark.parametrize("missing", ["PG_CONN_STR", "KUBE_CONFIG_PATH", "KUBE_CTX"])
def test_a_variable_that_is_not_set_is_one_line(
    fresh: Path, cluster: EmbeddedCluster, typed: str, missing: str
) -> None:
    settings = dict(cluster.environment()) | {missing: ""}
    with shell(fresh, typed, **settings) as operator:
        assert operator.end() == 1
    (line,) = operator.text.splitlines()
    assert line.startswith(f"error: {missing} is not set")
