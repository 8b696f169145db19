"""The NetworkPolicy on connections to the pods of a component."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import labels, selector

_POLICY = tf.network_policy_v1
_FROM = _POLICY.NetworkPolicyV1SpecIngressFrom
_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A component whose pods may connect."""

    component: str
    namespace: str | None = None
    """Their namespace (default: that of the policy)."""


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
        clients: tuple[Client, ...] = (),
    ) -> None:
        """Declare the policy.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The component's namespace.
            component: The component, which names the policy.
            port: The port of its pods.
            client_namespaces: The namespaces whose pods may connect; may be empty.
            clients: The components whose pods may connect (default: none).
        """
        super().__init__(scope, id)
        peers = [
            *([_of_namespaces(client_namespaces)] if client_namespaces else []),
            *map(_of_component, clients),
        ]
        ingress = _POLICY.NetworkPolicyV1SpecIngress(
            from_=peers,
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
                ingress=[ingress] if peers else [],
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


def _of_component(client: Client) -> tf.network_policy_v1.NetworkPolicyV1SpecIngressFrom:
    there = None
    if client.namespace is not None:
        there = _POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelector(
            match_labels={_NAME: client.namespace}
        )
    return _FROM(
        pod_selector=_POLICY.NetworkPolicyV1SpecIngressFromPodSelector(
            match_labels=selector(client.component)
        ),
        namespace_selector=there,
    )
