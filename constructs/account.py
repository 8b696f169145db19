"""A service account and its rights, a Role in each namespace."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import labels

_ROLE = tf.role_v1
_BINDING = tf.role_binding_v1
_ACCOUNT = tf.service_account_v1


class Account(tf.Construct):
    """A service account with a Role in each namespace and no ClusterRole.

    The other namespaces must exist.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        name: str,
        namespace: EndpointNamespace,
        rules: list[tf.role_v1.RoleV1Rule],
        in_tenants: Mapping[str, list[tf.role_v1.RoleV1Rule]],
    ) -> None:
        """Declare the account, its Roles and their bindings.

        Args:
            scope: The construct of the pod.
            id: The construct's id.
            name: The account's name.
            namespace: Its namespace.
            rules: What it may do there.
            in_tenants: Another namespace -> what it may do there.
        """
        super().__init__(scope, id)
        self.name = name
        self.resource = _ACCOUNT.ServiceAccountV1(
            self,
            "Resource",
            metadata=_ACCOUNT.ServiceAccountV1Metadata(
                name=name, namespace=namespace.name, labels=labels(name)
            ),
            # The pod mounts the token itself.
            automount_service_account_token=False,
            depends_on=[namespace.resource],
        )
        subject = _BINDING.RoleBindingV1Subject(
            kind="ServiceAccount", name=name, namespace=namespace.name
        )
        endpoint = _Grant(
            self,
            "endpoint",
            name=name,
            component=name,
            namespace=namespace.name,
            subject=subject,
            rules=rules,
            depends_on=[self.resource],
        )
        tenants = tf.Construct(self, "tenants")
        self.grants = [
            endpoint,
            *(
                _Grant(
                    tenants,
                    tenant_namespace,
                    # Another endpoint may have a Role there too.
                    name=f"{namespace.name}-{name}",
                    component=name,
                    namespace=tenant_namespace,
                    subject=subject,
                    rules=tenant_rules,
                    depends_on=[self.resource],
                )
                for tenant_namespace, tenant_rules in in_tenants.items()
            ),
        ]


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
