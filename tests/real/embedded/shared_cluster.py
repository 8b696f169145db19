"""One embedded cluster for many test files: emptying it costs less than starting another."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from ops.cluster.api import KubeApi
from ops.cluster.environment import KubeTarget
from ops.embedded import cluster as embedded
from ops.embedded.cluster import EmbeddedCluster
from tests.declaration.settings import SETTINGS

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_WITHOUT_A_NAMESPACE = (
    "/api/v1/persistentvolumes",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    f"{_RBAC}/clusterroles",
    f"{_RBAC}/clusterrolebindings",
)
_OF_KUBERNETES = {"default", "kube-node-lease", "kube-public", "kube-system"}
_SCHEMAS = "select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$|^public$'"
_ROLES = "select rolname from pg_roles where rolname !~ '^pg_'"


class SharedCluster:
    """A running cluster that can be reset to its first state."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self._target = KubeTarget(config_path=cluster.kubeconfig, context=cluster.kube_context)
        with KubeApi(self._target) as api:
            self._kept = {path: names(api, path) for path in _WITHOUT_A_NAMESPACE}
            self._namespaced = _kinds_in_namespaces(api)
        with psycopg.connect(cluster.pg_conn_str) as admin:
            self._roles = {name for (name,) in admin.execute(_ROLES)}

    def empty(self) -> None:
        """Remove what a file of tests left, and bring back who shares the GPU."""
        # A connection of its own: a test may have restarted the API server.
        with KubeApi(self._target) as api:
            for name in names(api, "/api/v1/namespaces") - _OF_KUBERNETES:
                self.remove_namespace(api, name)
            for path, kept in self._kept.items():
                for name in names(api, path) - kept:
                    api.request("DELETE", f"{path}/{name}")
            _until(lambda: all(names(api, path) <= kept for path, kept in self._kept.items()))
        embedded.declare(self.cluster, SETTINGS)
        self._empty_database()

    def remove_namespace(self, api: KubeApi, name: str) -> None:
        """Delete a namespace without the five seconds for which its controller waits first."""
        path = f"/api/v1/namespaces/{name}"
        api.request("DELETE", path)  # From now on nothing is created in it.
        at_once = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        collections = [kind.format(name) for kind in self._namespaced]
        for collection in collections:
            api.request("DELETE", collection, at_once)
        _until(lambda: not any(names(api, collection) for collection in collections))
        namespace = api.get(path)
        if namespace is not None:
            namespace["spec"]["finalizers"] = []
            api.request("PUT", f"{path}/finalize", namespace)
        _until(lambda: api.get(path) is None)

    def _empty_database(self) -> None:
        with psycopg.connect(self.cluster.pg_conn_str, autocommit=True) as admin:
            for (schema,) in admin.execute(_SCHEMAS).fetchall():
                admin.execute(f'drop schema "{schema}" cascade'.encode())
            for role in {name for (name,) in admin.execute(_ROLES)} - self._roles:
                admin.execute(f'drop owned by "{role}"; drop role "{role}"'.encode())
            # Terraform's backend keeps its counter outside its schemas.
            admin.execute("drop sequence if exists public.global_states_id_seq")


def names(api: KubeApi, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in (api.get(path) or {}).get("items") or ()}


def _kinds_in_namespaces(api: KubeApi) -> list[str]:
    groups = (api.get("/apis") or {})["groups"]
    roots = [
        "/api/v1",
        *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups),
    ]
    return [
        f"{root}/namespaces/{{}}/{kind['name']}"
        for root in roots
        for kind in (api.get(root) or {})["resources"]
        if kind["namespaced"] and "deletecollection" in kind["verbs"]
    ]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the cluster is not emptied after 30 s"
        time.sleep(0.05)
