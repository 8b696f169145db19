"""docs/moving.md, typed over an endpoint that the real Terraform made from HCL."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster
from ops.terraform.program import find
from tests.conftest import ROOT
from tests.real.adopt.running import Running, hand_written_endpoint
from tests.real.deploy.applied import finds_changes
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.pages.conftest import NewReader
from tests.real.pages.page import Page
from tests.real.pages.reader import Reader

PAGE = "docs/moving.md"


@pytest.fixture
def running(
    cluster: EmbeddedCluster,
    shared_cluster: SharedCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Running]:
    """The endpoint of the HCL."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    with hand_written_endpoint(cluster, tmp_path / "hcl") as found:
        yield found
    shared_cluster.empty()


def test_the_page_moves_the_endpoint(
    running: Running, new_reader: NewReader, cluster: EmbeddedCluster
) -> None:
    reader: Reader = new_reader(
        PAGE,
        values={
            "postgres://terraform@postgresql.dbaas:5432/terraform": shlex.quote(
                cluster.pg_conn_str
            )
        },
    )
    uids, notes = running.uids(), running.pods()["notes"]
    assert Page(ROOT / PAGE).sections == ("Declare what exists", "Take it over")

    listed, volumes, _ = reader.follow("Declare what exists")
    assert "llama-cpp-models" in listed
    assert "llama-cpp/llama-cpp-models" in volumes
    assert reader.elsewhere == ["chown -R 10001:10001 /srv/nfs-ssd/llamacpp"]
    taken, planned = reader.follow("Take it over")

    # What the page shows is what is printed.
    for block in reader.page.section("Take it over"):
        if block.kind == "shown":
            (headline,) = (line for line in block.text.splitlines() if "to import" in line)
            assert headline in taken
    assert "a copy of the state is in " in taken
    assert "deployed; the endpoint serves" in taken
    assert "Terraform finds no change." in planned
    assert running.uids() == uids
    assert running.pods()["notes"] == notes

    # The way back, in the directory of the HCL.
    (copy,) = (reader.terminal.checkout / "state-copies").iterdir()
    (block,) = reader.page.section("Back")
    pushed, unlabelled = (line.removeprefix("$ ") for line in block.text.splitlines())
    assert pushed.count("terraform ") == 2
    pushed = pushed.replace("terraform ", f"{find(None).path} ").replace("FILE", str(copy))
    reader.type(f"cd {shlex.quote(str(running.hcl.directory))}\n{pushed}")
    reader.type(unlabelled)
    running.until_pods_run()
    assert running.uids() == uids
    assert not finds_changes(running.hcl)

    # What the preview printed works in a shell without the page's setup.
    for printed in re.findall(r"; to delete it: (.*)", taken):
        assert "deleted" in reader.terminal.type(printed)
    assert len(uids) - len(running.uids()) == 2
