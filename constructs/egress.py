"""NetworkPolicies on connections from pods, and the destinations that they allow."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.addresses import (
    INTERNET,
    NOT_THE_INTERNET,
    PRIVATE,
    ip_and_port,
    within,
)
from llama_swap_config.cluster.labels import APP, labels, selector

_POLICY = tf.network_policy_v1
_EGRESS = _POLICY.NetworkPolicyV1SpecEgress
_TO = _POLICY.NetworkPolicyV1SpecEgressTo
_PORT = _POLICY.NetworkPolicyV1SpecEgressPorts

_API_SERVER_PORTS = (443, 6443)


class Egress(tf.Construct):
    """A NetworkPolicy on connections from the pods of some components.

    It does not govern a pod's connections to itself, and nothing on a network plug-in that does
    not enforce egress policies. The kubelet mounts volumes, so they need no destination.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        components: tuple[str, ...],
        destinations: list[tf.network_policy_v1.NetworkPolicyV1SpecEgress],
    ) -> None:
        """Declare the policy.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The pods' namespace.
            components: The pods' components; the first one names the policy.
            destinations: What the pods may connect to; empty: nothing.
        """
        super().__init__(scope, id)
        first = components[0]
        _POLICY.NetworkPolicyV1(
            self,
            "Resource",
            metadata=_POLICY.NetworkPolicyV1Metadata(
                name=f"{first}-egress", namespace=namespace.name, labels=labels(first)
            ),
            spec=_POLICY.NetworkPolicyV1Spec(
                pod_selector=_pods(components),
                policy_types=["Egress"],
                egress=destinations,
            ),
            depends_on=[namespace.resource],
        )


def internet(
    *ports: int, internal_ranges: tuple[str, ...] = ()
) -> tf.network_policy_v1.NetworkPolicyV1SpecEgress:
    """Allow public addresses.

    Args:
        ports: The TCP ports.
        internal_ranges: Public ranges of the operator, in CIDR, to deny too.
    """
    denied = (*NOT_THE_INTERNET, *internal_ranges)
    return _EGRESS(
        to=[_block(cidr, within(cidr, denied)) for cidr in INTERNET],
        ports=_tcp(ports),
    )


def cluster_dns() -> tf.network_policy_v1.NetworkPolicyV1SpecEgress:
    """Allow the cluster's DNS."""
    dns = _TO(
        namespace_selector=_namespace("kube-system"),
        pod_selector=_POLICY.NetworkPolicyV1SpecEgressToPodSelector(
            match_labels={"k8s-app": "kube-dns"}
        ),
    )
    return _EGRESS(
        to=[dns], ports=[_PORT(port="53", protocol=protocol) for protocol in ("UDP", "TCP")]
    )


def pods_of(
    component: str, port: int, namespace: str | None = None
) -> tf.network_policy_v1.NetworkPolicyV1SpecEgress:
    """Allow one port of another component.

    Args:
        component: The component.
        port: The port of its pods.
        namespace: Their namespace (default: that of the pods which connect).
    """
    pods = _POLICY.NetworkPolicyV1SpecEgressToPodSelector(match_labels=selector(component))
    there = None if namespace is None else _namespace(namespace)
    return _EGRESS(to=[_TO(pod_selector=pods, namespace_selector=there)], ports=_tcp([port]))


def host_of(
    url: str, namespace: EndpointNamespace
) -> tf.network_policy_v1.NetworkPolicyV1SpecEgress:
    """Allow the host of an address.

    A NetworkPolicy knows no host names: of a Service it allows all pods of the namespace, whose
    port may be another one than the Service's, and of another name every address at the port.

    Args:
        url: An http or https address.
        namespace: The pods' namespace, where a name of one word is a Service.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return _EGRESS(to=[_block(_only(host))], ports=_tcp([port]))
    except ValueError:
        words = host.split(".")
    service = _TO(namespace_selector=_namespace(words[1] if words[1:] else namespace.name))
    if len(words) == 1 or words[2:3] == ["svc"]:
        return _EGRESS(to=[service])
    anywhere = [_block("0.0.0.0/0"), _block("::/0")]
    # A name of two words may be a Service's too.
    return _EGRESS(to=[*anywhere, *([service] if len(words) == 2 else [])], ports=_tcp([port]))


def api_server(
    addresses: tuple[str, ...],
) -> list[tf.network_policy_v1.NetworkPolicyV1SpecEgress]:
    """Allow the API server.

    Args:
        addresses: Its addresses with ports; empty: private addresses at its usual ports, because
            nothing says at synth where it is.
    """
    known = [found for text in addresses if (found := ip_and_port(text)) is not None]
    if known:
        return [_EGRESS(to=[_block(_only(ip))], ports=_tcp([port])) for ip, port in known]
    return [_EGRESS(to=[_block(cidr) for cidr in PRIVATE], ports=_tcp(_API_SERVER_PORTS))]


def _pods(
    components: tuple[str, ...],
) -> tf.network_policy_v1.NetworkPolicyV1SpecPodSelector:
    if len(components) == 1:
        return _POLICY.NetworkPolicyV1SpecPodSelector(match_labels=selector(components[0]))
    return _POLICY.NetworkPolicyV1SpecPodSelector(
        match_labels={"app.kubernetes.io/part-of": APP},
        match_expressions=[
            _POLICY.NetworkPolicyV1SpecPodSelectorMatchExpressions(
                key="app.kubernetes.io/name", operator="In", values=list(components)
            )
        ],
    )


def _namespace(
    name: str,
) -> tf.network_policy_v1.NetworkPolicyV1SpecEgressToNamespaceSelector:
    return _POLICY.NetworkPolicyV1SpecEgressToNamespaceSelector(
        match_labels={"kubernetes.io/metadata.name": name}
    )


def _block(
    cidr: str, without: list[str] | None = None
) -> tf.network_policy_v1.NetworkPolicyV1SpecEgressTo:
    return _TO(ip_block=_POLICY.NetworkPolicyV1SpecEgressToIpBlock(cidr=cidr, except_=without))


def _only(ip: str) -> str:
    """Return the range of one address; ValueError for a host name."""
    return str(ipaddress.ip_network(ip))


def _tcp(ports: Iterable[int]) -> list[tf.network_policy_v1.NetworkPolicyV1SpecEgressPorts]:
    return [_PORT(port=str(port), protocol="TCP") for port in ports]
