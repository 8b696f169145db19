"""The NetworkPolicy on connections to the pods of a component."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import labels, selector

_POLICY = tf.network_policy_v1
_FROM = _POLICY.NetworkPolicyV1SpecIngressFrom
_NAME = "kubernetes.io/metadata.name"


class ClientAccess(tf.Construct):
    """A NetworkPolicy that lets namespaces and components connect to one port of a component."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        component: str,
        port: int,
        client_namespaces: tuple[str, ...],
        client_components: tuple[str, ...] = (),
        clients_elsewhere: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Declare the policy.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The component's namespace.
            component: The component, which names the policy.
            port: The port of its pods.
            client_namespaces: The namespaces whose pods may connect; may be empty.
            client_components: The components of the same namespace whose pods may connect
                (default: none).
            clients_elsewhere: Namespaces, each with the component whose pods may connect
                (default: none).
        """
        super().__init__(scope, id)
        clients = [
            *([_of_namespaces(client_namespaces)] if client_namespaces else []),
            *map(_of_component, client_components),
            *(_of_component(name, there) for there, name in clients_elsewhere),
        ]
        ingress = _POLICY.NetworkPolicyV1SpecIngress(
            from_=clients,
            ports=[_POLICY.NetworkPolicyV1SpecIngressPorts(port=str(port), protocol="TCP")],
        )
        _POLICY.NetworkPolicyV1(
            self,
            "Resource",
            metadata=_POLICY.NetworkPolicyV1Metadata(
                name=f"{component}-clients", namespace=namespace.name, labels=labels(component)
            ),
            spec=_POLICY.NetworkPolicyV1Spec(
                pod_selector=_POLICY.NetworkPolicyV1SpecPodSelector(
                    match_labels=selector(component)
                ),
                policy_types=["Ingress"],
                # An ingress rule without a peer would admit everybody.
                ingress=[ingress] if clients else [],
            ),
            depends_on=[namespace.resource],
        )


def _of_namespaces(
    names: tuple[str, ...],
) -> tf.network_policy_v1.NetworkPolicyV1SpecIngressFrom:
    expression = _POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelectorMatchExpressions(
        key=_NAME, operator="In", values=list(dict.fromkeys(names))
    )
    return _FROM(
        namespace_selector=_POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelector(
            match_expressions=[expression]
        )
    )


def _of_component(
    name: str, namespace: str | None = None
) -> tf.network_policy_v1.NetworkPolicyV1SpecIngressFrom:
    """Admit a component's pods, in another namespace than the policy's if there is one."""
    there = None
    if namespace is not None:
        there = _POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelector(
            match_labels={_NAME: namespace}
        )
    return _FROM(
        pod_selector=_POLICY.NetworkPolicyV1SpecIngressFromPodSelector(
            match_labels=selector(name)
        ),
        namespace_selector=there,
    )
