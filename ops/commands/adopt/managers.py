"""Programs that keep an object as they made it, and would undo what this stack changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ops.report.kubectl import kubectl
from ops.terraform.changes import ResourceChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A program that marks the objects that it manages."""

    name: str
    mark: str
    """The label or annotation; its value names the release or application."""
    release: str
    """How to end its management and keep the objects; `{release}` and `{kubectl}` are known."""


_RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
MANAGERS = (
    Manager(
        name="Flux",
        mark="helm.toolkit.fluxcd.io/name",
        release="suspend HelmRelease {release}, `{kubectl} delete secret -l owner=helm,name="
        "{release}`, and then delete the HelmRelease",
    ),
    Manager(
        name="Flux",
        mark="kustomize.toolkit.fluxcd.io/name",
        release="annotate the objects with `kustomize.toolkit.fluxcd.io/prune: disabled` in the "
        "source of Kustomization {release}, let Flux apply that, and remove them from the source",
    ),
    Manager(
        name="Argo CD",
        mark="argocd.argoproj.io/tracking-id",
        release="delete the Application with `argocd app delete --cascade=false {release}`",
    ),
    Manager(
        name="Helm",
        mark="meta.helm.sh/release-name",
        release="`{kubectl} delete secret -l owner=helm,name={release}` lets Helm forget the "
        "release; `helm uninstall` would delete the objects",
    ),
)
"""The outermost first: Flux runs Helm. By the documentation of Helm 3 and 4, Flux 2, and Argo CD
3, which tracks by annotation; the label of Argo CD 2 has other users, too."""


def managed_by_others(changes: Iterable[ResourceChange]) -> Iterator[str]:
    """Say who manages objects, and how to end that, once for each release."""
    seen = set()
    for change in changes:
        metadata = change.metadata_before
        marks = (metadata.get("labels") or {}) | (metadata.get("annotations") or {})
        manager = next((each for each in MANAGERS if each.mark in marks), None)
        if manager is None:
            continue
        # A tracking-id is `application:group/Kind:namespace/name`.
        release = str(marks[manager.mark]).partition(":")[0]
        if (manager, release) in seen:
            continue
        seen.add((manager, release))
        namespace = marks.get(_RELEASE_NAMESPACE, change.namespace)
        how = manager.release.format(
            release=shlex.quote(release), kubectl=kubectl("", namespace=namespace).rstrip()
        )
        yield f"{manager.name} ({release}) manages {change.kind} {change.name}. First {how}."
