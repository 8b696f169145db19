"""A cluster behind a proxy, where a deploy is ended at a chosen write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.cluster.paths import collection_path
from ops.terraform.manifests import manifests
from ops.terraform.program import Tool
from ops.terraform.verdict import LABEL
from tests.fakes.write_proxy import WriteProxy
from tests.real.deploy.deploy_process import ENDS, End, deploy, ending, start
from tests.real.embedded.shared_cluster import SharedCluster

Json = dict[str, Any]
Uids = dict[str, str]
Which = Literal["first", "second"]


@dataclass(frozen=True, slots=True)
class Point:
    """When and how a deploy is ended."""

    tool: Tool
    which: Which
    end: End
    write: int
    after: bool
    """Whether after the API server's answer; otherwise before its request."""
    elsewhere: bool
    """Whether the next deploy has nothing of what this one leaves on its machine."""

    def __str__(self) -> str:
        place = "elsewhere" if self.elsewhere else "here"
        moment = "after" if self.after else "before"
        return f"{self.tool}-{self.which}-{self.end}-{moment}-{self.write}-{place}"


def points(tool: Tool, writes: dict[Which, int], number: int, shift: int) -> list[Point]:
    """Spread a number of points over deploys, ends and writes; first deploys come first."""
    kinds = [(which, end) for end in ENDS for which in writes]
    drawn = []
    for index in range(shift, shift + number):
        (which, end), lap = kinds[index % len(kinds)], index // len(kinds)
        write = 1 + (index + 5 * lap) % writes[which]
        after, elsewhere = (index + lap) % 3 != 0, (index // 2 + lap) % 2 == 0
        drawn.append(Point(tool, which, end, write, after, elsewhere))
    return sorted(drawn, key=lambda point: point.which)


class World:
    """The cluster, and two versions of a stack of which one may be deployed."""

    def __init__(
        self,
        cluster: SharedCluster,
        proxy: WriteProxy,
        target: KubeTarget,
        directory: Path,
        versions: tuple[Json, Json],
    ) -> None:
        self.cluster, self.proxy, self.target = cluster, proxy, target
        self.versions = versions
        self._directory = directory
        self._objects = tuple(manifests(document) for document in versions)
        self._deployed: tuple[Tool, int] | None = None
        real = cluster.cluster
        self._real = KubeTarget(config_path=real.kubeconfig, context=real.kube_context)

    @property
    def kept(self) -> set[str]:
        """The objects of both versions; the others are named by their content."""
        return self.declared(0) & self.declared(1)

    def declared(self, version: int) -> set[str]:
        """The objects of a version."""
        return {_name(made["kind"], made["metadata"]) for made in self._objects[version]}

    def uids(self) -> Uids:
        """Every object in the cluster that has this stack's label."""
        kinds = {
            (made["apiVersion"], made["kind"]): made | {"metadata": {}}
            for made in self._objects[0]
        }
        found = {}
        with KubeApi(self._real) as api:
            for kind in kinds.values():
                path = f"{collection_path(kind)}?labelSelector={LABEL}=llama-cpp"
                for item in (api.get(path) or {})["items"]:
                    if "ownerReferences" in item["metadata"]:  # A CronJob's own Job.
                        continue
                    found[_name(kind["kind"], item["metadata"])] = item["metadata"]["uid"]
        return found

    def empty(self) -> None:
        """Remove all objects and the state."""
        self.cluster.empty()
        self._deployed = None

    def begin(self, tool: Tool, which: Which) -> int:
        """Make the cluster as it is before a deploy; return the version to deploy."""
        if which == "first":
            self.empty()
            return 0
        if self._deployed is None or self._deployed[0] != tool:
            self.empty()
            self.deploy(tool, 0)
        assert self._deployed is not None
        return 1 - self._deployed[1]

    def deploy(self, tool: Tool, version: int, *, elsewhere: bool = False) -> list[str]:
        """Deploy a version to the end, and check that a plan after it is empty.

        Args:
            tool: Deploys it.
            version: Index of the version.
            elsewhere: Whether in a new directory (default: where this tool deployed before).
        """
        lines: list[str] = []
        directory = self.write(tool, version)
        if elsewhere:
            directory = self._directory / "elsewhere"
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            shutil.copy(self.directory(tool) / "cdk.tf.json", directory)
        deploy(directory, self.target, lines.append)
        self._deployed = (tool, version)
        return lines

    def end(self, point: Point, version: int) -> str:
        """Deploy a version and end that; return what it printed."""
        output = self.disturb(
            point.tool,
            version,
            point.write,
            lambda pid: ending(pid, point.end),
            after=point.after,
        )
        if point.end == "kill terraform":
            self._end_providers(point.tool)
        return output

    def _end_providers(self, tool: Tool) -> None:
        """End the providers that a killed Terraform leaves; nothing else does."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(self.directory(tool)) and process.ppid() == 1:
                    process.kill()

    def disturb(
        self,
        tool: Tool,
        version: int,
        write: int,
        acting: Callable[[int], Callable[[], bool]],
        *,
        after: bool = True,
    ) -> str:
        """Deploy a version, and act at a write so that it fails; return what it printed."""
        log = self._directory / "log"
        self.proxy.arm(0, lambda: True, after=False)
        process = start(self.write(tool, version), self.target, log, os.environ)
        self.proxy.arm(write, acting(process.pid or 0), after=after)
        process.join(120)
        output = log.read_text()
        assert process.exitcode not in (None, 0), output
        process.close()
        self._deployed = None
        return output

    def directory(self, tool: Tool) -> Path:
        """The stack's directory."""
        return self._directory / tool

    def write(self, tool: Tool, version: int) -> Path:
        """Write a version as a synth does."""
        directory = self.directory(tool)
        directory.mkdir(exist_ok=True)
        (directory / "cdk.tf.json").write_text(json.dumps(self.versions[version]))
        return directory


def _name(kind: str, metadata: Json) -> str:
    return f"{kind} {metadata.get('namespace', '')}/{metadata['name']}"
