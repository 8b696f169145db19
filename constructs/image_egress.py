"""The NetworkPolicy on connections from the serving pod."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import ENDPOINT, labels, selector

_POLICY = tf.network_policy_v1
_EGRESS = _POLICY.NetworkPolicyV1SpecEgress
_TO = _POLICY.NetworkPolicyV1SpecEgressTo
_PORT = _POLICY.NetworkPolicyV1SpecEgressPorts

NOT_THE_INTERNET_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
"""IPv4 ranges of IANA's special-purpose registries: this host, private, shared, link-local (with
the clouds' metadata services), protocol assignments, benchmarks, multicast, reserved."""
NOT_THE_INTERNET_V6 = ("::/127", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8")
"""The same for IPv6: this host, translated IPv4, unique local, link-local, multicast."""


class ImageEgress(tf.Construct):
    """A NetworkPolicy on connections from the serving pod.

    llama-server fetches an `image_url` itself, follows redirects, and has no flag to disable it:
    without this policy every client could send requests into the cluster.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        remote_images: bool,
        internal_ranges: tuple[str, ...],
    ) -> None:
        """Declare the policy.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The serving pod's namespace.
            remote_images: Whether llama-server may fetch images from the internet; otherwise the
                pod opens no connection, and requests have to contain their images.
            internal_ranges: Public ranges of the operator, in CIDR, that it may not reach.
        """
        super().__init__(scope, id)
        v4 = [cidr for cidr in internal_ranges if ":" not in cidr]
        v6 = [cidr for cidr in internal_ranges if ":" in cidr]
        internet = [
            _ip_block("0.0.0.0/0", [*NOT_THE_INTERNET_V4, *v4]),
            _ip_block("::/0", [*NOT_THE_INTERNET_V6, *v6]),
        ]
        rules = [
            _EGRESS(to=internet, ports=[_port(80, "TCP"), _port(443, "TCP")]),
            _EGRESS(to=[_cluster_dns()], ports=[_port(53, "UDP"), _port(53, "TCP")]),
        ]
        _POLICY.NetworkPolicyV1(
            self,
            "Resource",
            metadata=_POLICY.NetworkPolicyV1Metadata(
                name=f"{ENDPOINT}-egress", namespace=namespace.name, labels=labels(ENDPOINT)
            ),
            spec=_POLICY.NetworkPolicyV1Spec(
                pod_selector=_POLICY.NetworkPolicyV1SpecPodSelector(
                    match_labels=selector(ENDPOINT)
                ),
                policy_types=["Egress"],
                egress=rules if remote_images else [],
            ),
            depends_on=[namespace.resource],
        )


def _ip_block(cidr: str, without: list[str]) -> tf.network_policy_v1.NetworkPolicyV1SpecEgressTo:
    return _TO(
        ip_block=_POLICY.NetworkPolicyV1SpecEgressToIpBlock(cidr=cidr, except_=sorted(without))
    )


def _cluster_dns() -> tf.network_policy_v1.NetworkPolicyV1SpecEgressTo:
    return _TO(
        namespace_selector=_POLICY.NetworkPolicyV1SpecEgressToNamespaceSelector(
            match_labels={"kubernetes.io/metadata.name": "kube-system"}
        ),
        pod_selector=_POLICY.NetworkPolicyV1SpecEgressToPodSelector(
            match_labels={"k8s-app": "kube-dns"}
        ),
    )


def _port(port: int, protocol: str) -> tf.network_policy_v1.NetworkPolicyV1SpecEgressPorts:
    return _PORT(port=str(port), protocol=protocol)
