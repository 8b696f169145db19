"""Whether the account may do what a deploy does, by the objects of the synthesized stack."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ops.cluster.api import KubeApi
from ops.cluster.paths import plural
from ops.commands.doctor.cluster.check import Check, Cluster
from ops.errors import OpsError
from ops.report.kubectl import kubectl
from ops.terraform.manifests import Manifest
from ops.terraform.verdict import NAMED_ONLY

_AT_ONCE = 8
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one resource."""

    verb: str
    group: str
    resource: str
    """With its subresource: `pods/log`."""
    namespace: str
    """Empty for a resource of the whole cluster."""
    name: str = ""
    """The one object that it is for; empty for every object."""

    def asked(self) -> str:
        """Return the command line that asks the API server for it."""
        resource, _, subresource = self.resource.partition("/")
        words = ["auth", "can-i", self.verb, f"{resource}.{self.group}".rstrip(".")]
        if self.name:
            words[-1] += f"/{self.name}"
        if subresource:
            words.append(f"--subresource={subresource}")
        return kubectl(shlex.join(words), namespace=self.namespace)


def needed(objects: Iterable[Manifest]) -> tuple[Right, ...]:
    """List what a deploy of these objects asks the API server for.

    A namespace, a volume or a claim is only removed by name, so that no deploy needs its removal.
    """
    rights: dict[Right, None] = {}
    for manifest in objects:
        kind, namespace = manifest["kind"], manifest["metadata"].get("namespace", "")
        every = Right(
            verb="create",
            group=manifest["apiVersion"].rpartition("/")[0],
            resource=plural(kind),
            namespace=namespace,
        )
        one = replace(every, name="" if namespace else manifest["metadata"]["name"])
        # The provider (2.38) replaces a CronJob and patches every other kind.
        verbs = ["get", "update" if kind == "CronJob" else "patch"]
        if kind not in NAMED_ONLY:
            verbs.append("delete")
        rights |= dict.fromkeys((every, *(replace(one, verb=verb) for verb in verbs)))
        if kind == "Namespace":
            followed = Right(verb="list", group="", resource="pods", namespace=one.name)
            rights |= dict.fromkeys(
                (
                    followed,
                    replace(followed, resource="events"),
                    replace(followed, verb="get", resource="pods/log"),
                    replace(followed, group="apps", resource="replicasets"),
                )
            )
    return tuple(rights)


def granted(objects: Iterable[Manifest]) -> tuple[Right, ...]:
    """List what the stack's Roles grant, which only an account with the same rights may grant."""
    return tuple(
        dict.fromkeys(
            Right(
                verb=verb,
                group=group,
                resource=resource,
                namespace=manifest["metadata"]["namespace"],
                name=name,
            )
            for manifest in objects
            if manifest["kind"] == "Role"
            for rule in manifest["rules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames", [""])
        )
    )


def checks(cluster: Cluster) -> Iterator[Check]:
    """Ask for every right; a check for each namespace, and one for the cluster.

    Raises:
        OpsError: if the API server refuses or does not answer.
    """
    own, grants = needed(cluster.objects), granted(cluster.objects)
    asked = dict.fromkeys((*own, *grants))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda right: _may(cluster.api, right), asked)
        denied = [right for right, may in zip(asked, answers, strict=True) if not may]
    for namespace in dict.fromkeys(right.namespace for right in own):
        here = [right for right in denied if right.namespace == namespace]
        ungranted = [right for right in here if right in grants]
        if ungranted and _may_grant_any(cluster.api, namespace):
            ungranted = []
        yield _check(
            cluster,
            namespace,
            [right for right in here if right in own],
            ungranted,
            number=sum(right.namespace == namespace for right in asked),
        )


def _may_grant_any(api: KubeApi, namespace: str) -> bool:
    """Whether the account may grant by Roles of a namespace what it may not do itself."""
    return all(
        _may(api, Right(verb=verb, group=_RBAC, resource="roles", namespace=namespace))
        for verb in ("escalate", "bind")
    )


def _check(
    cluster: Cluster, namespace: str, denied: list[Right], ungranted: list[Right], *, number: int
) -> Check:
    where = f" in {namespace}" if namespace else ""
    sentences = []
    if denied:
        sentences.append(f"may not {_listed(denied)}{where}")
    if ungranted:
        sentences.append(f"may not grant {_listed(ungranted)}{where}, as a Role of the stack does")
    missing = list(dict.fromkeys((*denied, *ungranted)))
    again = missing[0].asked() if missing else ""
    return Check(
        name=f"rights{where}" if namespace else "rights in the cluster",
        found=f"{len(missing)} of {number} denied" if missing else f"all {number}",
        wanted=f"all {number}",
        status="wrong" if missing else "ok",
        remedy=f"This account {', and '.join(sentences)}. Let an administrator grant that; "
        f"`{again}` asks again.",
    )


def _listed(rights: Iterable[Right]) -> str:
    """Group rights: `create, delete roles, rolebindings; get pods/log`."""
    verbs: dict[str, dict[str, None]] = {}
    for right in rights:
        resource = right.resource + (f" {right.name}" if right.name else "")
        verbs.setdefault(resource, {})[right.verb] = None
    resources: dict[str, list[str]] = {}
    for resource, of_resource in verbs.items():
        resources.setdefault(", ".join(of_resource), []).append(resource)
    return "; ".join(f"{verb} {', '.join(names)}" for verb, names in resources.items())


def _may(api: KubeApi, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    status = api.review(
        "authorization.k8s.io/v1",
        "SelfSubjectAccessReview",
        {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    )
    if status is None:
        raise OpsError("this API server has no SelfSubjectAccessReview")
    return bool(status.get("allowed"))
