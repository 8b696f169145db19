"""The service account of the CronJob that restores tenants, and its rights."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from in_pod.gpu_window.contract import ENDPOINT_DEPLOYMENT, LEASE
from llama_swap_config.cluster.gpu_tenants import GpuTenant, TenantKind
from llama_swap_config.cluster.labels import labels

_ROLE = tf.role_v1
_BINDING = tf.role_binding_v1
_ACCOUNT = tf.service_account_v1


class GpuWindowAccount(tf.Construct):
    """A service account that may change one Lease and scale the workloads of a window.

    It has a Role in each namespace and no ClusterRole. The tenants' namespaces must exist.
    """

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
        super().__init__(scope, id)
        self.name = name
        self.resource = _ACCOUNT.ServiceAccountV1(
            self,
            "Resource",
            metadata=_ACCOUNT.ServiceAccountV1Metadata(
                name=name, namespace=namespace.name, labels=labels(name)
            ),
            # The CronJob's pod mounts the token itself.
            automount_service_account_token=False,
            depends_on=[namespace.resource],
        )
        subject = _BINDING.RoleBindingV1Subject(
            kind="ServiceAccount", name=name, namespace=namespace.name
        )
        lease = _ROLE.RoleV1Rule(
            api_groups=["coordination.k8s.io"],
            resources=["leases"],
            resource_names=[LEASE],
            verbs=["get", "update", "delete"],
        )
        self.grants = [
            _Grant(
                self,
                "endpoint",
                name=name,
                component=name,
                namespace=namespace.name,
                subject=subject,
                rules=[lease, *_scaling({"Deployment": [ENDPOINT_DEPLOYMENT]})],
                depends_on=[self.resource],
            )
        ]
        in_tenants = tf.Construct(self, "tenants")
        for tenant_namespace in dict.fromkeys(tenant.namespace for tenant in tenants):
            names: dict[TenantKind, list[str]] = {}
            for tenant in tenants:
                if tenant.namespace == tenant_namespace:
                    names.setdefault(tenant.kind, []).append(tenant.name)
            self.grants.append(
                _Grant(
                    in_tenants,
                    tenant_namespace,
                    # Another endpoint may have a Role there too.
                    name=f"{namespace.name}-{name}",
                    component=name,
                    namespace=tenant_namespace,
                    subject=subject,
                    rules=_scaling(names),
                    depends_on=[self.resource],
                )
            )


class _Grant(tf.Construct):
    """A Role in one namespace and its binding."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        name: str,
        component: str,
        namespace: str,
        subject: tf.role_binding_v1.RoleBindingV1Subject,
        rules: list[tf.role_v1.RoleV1Rule],
        depends_on: list[tf.service_account_v1.ServiceAccountV1],
    ) -> None:
        super().__init__(scope, id)
        role = _ROLE.RoleV1(
            self,
            "role",
            metadata=_ROLE.RoleV1Metadata(
                name=name, namespace=namespace, labels=labels(component)
            ),
            rule=rules,
            depends_on=depends_on,
        )
        self.binding = _BINDING.RoleBindingV1(
            self,
            "binding",
            metadata=_BINDING.RoleBindingV1Metadata(
                name=name, namespace=namespace, labels=labels(component)
            ),
            role_ref=_BINDING.RoleBindingV1RoleRef(
                api_group="rbac.authorization.k8s.io", kind="Role", name=name
            ),
            subject=[subject],
            depends_on=[role],
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
