"""The endpoint's namespace."""

from __future__ import annotations

from constructs import terraform as tf

from llama_swap_config.cluster.labels import APP


class EndpointNamespace(tf.Construct):
    """A namespace that enforces the Pod Security Standard `restricted`."""

    def __init__(self, scope: tf.Construct, id: str, *, name: str, prevent_destroy: bool) -> None:
        """Declare the namespace.

        Args:
            scope: The stack.
            id: The construct's id.
            name: The namespace's name.
            prevent_destroy: Whether Terraform refuses to delete it.
        """
        super().__init__(scope, id)
        self.name = name
        levels = ("enforce", "audit", "warn")
        self.resource = tf.namespace_v1.NamespaceV1(
            self,
            "Resource",
            metadata=tf.namespace_v1.NamespaceV1Metadata(
                name=name,
                labels={
                    "app.kubernetes.io/part-of": APP,
                    "app.kubernetes.io/managed-by": "terraform",
                }
                | {f"pod-security.kubernetes.io/{level}": "restricted" for level in levels},
            ),
            lifecycle=tf.lifecycle(prevent_destroy=prevent_destroy),
        )
