"""Find what may scale a tenant by itself, and so end a window."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from in_pod.gpu_window.window import Window
from in_pod.kubernetes.api import Api
from in_pod.kubernetes.pods import scaled_by
from in_pod.kubernetes.workload import Workload

_GITOPS = ("argocd-controller", "kustomize-controller", "helm-controller")
"""Field managers of Argo CD and Flux, which restore what is declared."""


def scalers(api: Api, window: Window, tenant: Workload) -> Iterator[str]:
    """Name what scales a tenant: an autoscaler, or a GitOps controller that sets its replicas.

    An account that may not list autoscalers is told of none.
    """
    autoscalers = (
        f"/apis/autoscaling/v2/namespaces/{quote(tenant.namespace)}/horizontalpodautoscalers"
    )
    try:
        status, answer = api.request("GET", autoscalers)
    except ConnectionError:
        status, answer = 0, {}
    for item in answer["items"] if status == 200 else ():
        target = item["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == (tenant.kind, tenant.name):
            yield f"HorizontalPodAutoscaler {item['metadata']['name']}"
    document = window.read(tenant)
    manager = "" if document is None else scaled_by(document)
    if manager in _GITOPS:
        yield manager
