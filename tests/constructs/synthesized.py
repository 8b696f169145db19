"""The synthesized stack, by resource and by pod."""

from __future__ import annotations

import re
from typing import Any

from tests.conftest import ROOT

Json = dict[str, Any]

DOWNLOADS = ("model-download", "model-upkeep")


def modules(package: str) -> dict[str, str]:
    """The sources of a program that runs in the cluster."""
    return {path.name: path.read_text() for path in (ROOT / "in_pod" / package).glob("*.py")}


def unescaped(data: dict[str, str]) -> dict[str, str]:
    """A ConfigMap's texts as they are in the cluster."""
    return {key: text.replace("$${", "${").replace("%%{", "%{") for key, text in data.items()}


def resources(document: Json) -> dict[str, Json]:
    """Every resource by kind and name, the content's hash in a name left out."""
    found = {}
    for kind, by_id in document["resource"].items():
        for each in by_id.values():
            name = re.sub("-[0-9a-f]{10}$", "", each["metadata"]["name"])
            found[f"{kind.removeprefix('kubernetes_')}.{name}"] = each
    return found


def pods(document: Json) -> dict[str, Json]:
    """The pod of each Deployment, Job and CronJob, by its name."""
    found = {}
    for address, each in resources(document).items():
        kind, _, name = address.partition(".")
        if kind in ("deployment_v1", "job_v1"):
            found[name] = each["spec"]["template"]["spec"]
        elif kind == "cron_job_v1":
            found[name] = each["spec"]["job_template"]["spec"]["template"]["spec"]
    assert {"llama-swap", *DOWNLOADS, "gpu-window-restore"} == set(found)
    return found


def containers(pod: Json) -> list[Json]:
    return [*pod.get("init_container", []), *pod["container"]]
