"""Programs that keep an object as they made it, and would undo what this stack changes."""

from __future__ import annotations

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


MANAGERS = (
    Manager(
        name="Helm",
        mark="meta.helm.sh/release-name",
        release=(
            "`{kubectl} delete secret -l owner=helm,name={release}` lets Helm forget the release; "
            "`helm uninstall` would delete the objects"
        ),
    ),
    Manager(
        name="Argo CD",
        mark="argocd.argoproj.io/tracking-id",
        release="delete the Application with `argocd app delete --cascade=false`",
    ),
    Manager(
        name="Flux",
        mark="kustomize.toolkit.fluxcd.io/name",
        release=(
            "set `prune: false` in Kustomization {release}, let Flux apply that, and delete it"
        ),
    ),
    Manager(
        name="Flux",
        mark="helm.toolkit.fluxcd.io/name",
        release="suspend HelmRelease {release}, delete its Helm Secrets, and then the HelmRelease",
    ),
)
"""By the documentation of each: Helm 3 and 4, Argo CD 2.x and 3.x, Flux 2.x."""


def managed_by_others(changes: Iterable[ResourceChange]) -> Iterator[str]:
    """Say who manages objects, and how to end that, once for each release."""
    seen = set()
    for change in changes:
        metadata = change.metadata_before
        marks = (metadata.get("labels") or {}) | (metadata.get("annotations") or {})
        for manager in MANAGERS:
            release = marks.get(manager.mark)
            if release is None or (manager, release) in seen:
                continue
            seen.add((manager, release))
            begin = kubectl("", namespace=change.namespace).rstrip()
            how = manager.release.format(release=release, kubectl=begin)
            yield f"{manager.name} ({release}) manages {change.kind} {change.name}. First {how}."
