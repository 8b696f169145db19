"""docs/moving.md, typed over an endpoint that the real Terraform made from HCL."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.real.adopt.running import Running, hand_written_endpoint
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
