"""The synthesized stack, by resource and by pod."""

from __future__ import annotations

import re
from typing import Any

from tests.conftest import ROOT

Json = dict[str, Any]

DOWNLOADS = ("model-download", "model-upkeep")


def modules(package: str) -> dict[str, str]:
    """Read the sources of a program of in_pod/."""
    return {path.name: path.read_text() for path in (ROOT / "in_pod" / package).glob("*.py")}


def unescaped(data: dict[str, str]) -> dict[str, str]:
    """Undo Terraform's escapes in a ConfigMap's texts."""
    return {key: text.replace("$${", "${").replace("%%{", "%{") for key, text in data.items()}


def resources(document: Json) -> dict[str, Json]:
    """Every resource by kind and name, without the hash in a name."""
    by_name = {}
    for kind, by_id in document["resource"].items():
        for resource in by_id.values():
            name = re.sub("-[0-9a-f]{10}$", "", resource["metadata"]["name"])
            by_name[f"{kind.removeprefix('kubernetes_')}.{name}"] = resource
    return by_name


def pods(document: Json) -> dict[str, Json]:
    """The pod of each Deployment, Job and CronJob, by its name."""
    by_name = {}
    for address, resource in resources(document).items():
        kind, _, name = address.partition(".")
        if kind in ("deployment_v1", "job_v1"):
            by_name[name] = resource["spec"]["template"]["spec"]
        elif kind == "cron_job_v1":
            by_name[name] = resource["spec"]["job_template"]["spec"]["template"]["spec"]
    expected = {"llama-swap", *DOWNLOADS, "gpu-window-restore", "exporter"}
    assert expected == set(by_name)
    return by_name


def containers(pod: Json) -> list[Json]:
    return [*pod.get("init_container", []), *pod["container"]]
