"""The service account of the CronJob that restores tenants, and its rights."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.account import Account
from constructs.endpoint_namespace import EndpointNamespace
from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, LEASE
from llama_swap_config.cluster.gpu_tenants import GpuTenant, TenantKind, names_by_kind

_ROLE = tf.role_v1


class GpuWindowAccount(Account):
    """A service account that may change one Lease and scale the workloads of a window."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        name: str,
        namespace: EndpointNamespace,
        tenants: tuple[GpuTenant, ...],
    ) -> None:
        """Declare the account, its Roles and their bindings.

        Args:
            scope: The construct of the CronJob.
            id: The construct's id.
            name: The account's name.
            namespace: Its namespace, with the endpoint's Deployment and the Lease.
            tenants: The tenants, which it may scale.
        """
        lease = _ROLE.RoleV1Rule(
            api_groups=["coordination.k8s.io"],
            resources=["leases"],
            resource_names=[LEASE],
            verbs=["get", "update", "delete"],
        )
        super().__init__(
            scope,
            id,
            name=name,
            namespace=namespace,
            rules=[lease, *_scaling({"Deployment": [ENDPOINT_DEPLOYMENT]})],
            in_tenants={
                tenant_namespace: _scaling(names)
                for tenant_namespace, names in names_by_kind(tenants).items()
            },
        )


def _scaling(names: Mapping[TenantKind, list[str]]) -> list[tf.role_v1.RoleV1Rule]:
    """Make the rules to scale workloads, without other changes, and to list pods."""
    rules = []
    for kind, of_kind in names.items():
        resource = f"{kind.lower()}s"
        for name, verb in ((resource, "get"), (f"{resource}/scale", "patch")):
            rules.append(
                _ROLE.RoleV1Rule(
                    api_groups=["apps"], resources=[name], resource_names=of_kind, verbs=[verb]
                )
            )
    # A rule for `list` cannot be limited to names.
    rules.append(_ROLE.RoleV1Rule(api_groups=[""], resources=["pods"], verbs=["list"]))
    return rules
