"""The NetworkPolicy on connections to the serving pod."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import ENDPOINT, labels, selector

_POLICY = tf.network_policy_v1


class ClientAccess(tf.Construct):
    """A NetworkPolicy that lets named namespaces connect to one port of the serving pod."""

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        client_namespaces: tuple[str, ...],
        port: int,
    ) -> None:
        """Declare the policy.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The serving pod's namespace.
            client_namespaces: The namespaces whose pods may connect; may be empty.
            port: The pod's port.
        """
        super().__init__(scope, id)
        namespaces = _POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelectorMatchExpressions(
            key="kubernetes.io/metadata.name", operator="In", values=list(client_namespaces)
        )
        clients = _POLICY.NetworkPolicyV1SpecIngressFrom(
            namespace_selector=_POLICY.NetworkPolicyV1SpecIngressFromNamespaceSelector(
                match_expressions=[namespaces]
            )
        )
        ingress = _POLICY.NetworkPolicyV1SpecIngress(
            from_=[clients],
            ports=[_POLICY.NetworkPolicyV1SpecIngressPorts(port=str(port), protocol="TCP")],
        )
        _POLICY.NetworkPolicyV1(
            self,
            "Resource",
            metadata=_POLICY.NetworkPolicyV1Metadata(
                name=f"{ENDPOINT}-clients", namespace=namespace.name, labels=labels(ENDPOINT)
            ),
            spec=_POLICY.NetworkPolicyV1Spec(
                pod_selector=_POLICY.NetworkPolicyV1SpecPodSelector(
                    match_labels=selector(ENDPOINT)
                ),
                policy_types=["Ingress"],
                ingress=[ingress] if client_namespaces else [],
            ),
            depends_on=[namespace.resource],
        )
