"""A Service in front of the port `http` of a component."""

from __future__ import annotations

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from llama_swap_config.cluster.labels import labels, selector

_SVC = tf.service_v1


def service(
    scope: tf.Construct,
    id: str,
    *,
    namespace: EndpointNamespace,
    name: str,
    component: str,
    port: int,
) -> None:
    """Declare a Service that only the cluster reaches.

    Args:
        scope: The construct of the Deployment.
        id: The Service's id there.
        namespace: Its namespace.
        name: Its name.
        component: The component whose pods answer.
        port: Its port.
    """
    _SVC.ServiceV1(
        scope,
        id,
        metadata=_SVC.ServiceV1Metadata(
            name=name, namespace=namespace.name, labels=labels(component)
        ),
        spec=_SVC.ServiceV1Spec(
            type="ClusterIP",
            selector=selector(component),
            port=[
                _SVC.ServiceV1SpecPort(name="http", port=port, target_port="http", protocol="TCP")
            ],
        ),
        wait_for_load_balancer=False,
        depends_on=[namespace.resource],
    )
