"""The PriorityClass by which the endpoint leaves the card to its tenants."""

from __future__ import annotations

from constructs import terraform as tf

from llama_swap_config.cluster.labels import ENDPOINT, labels

_CLASS = tf.priority_class_v1

PRIORITY = -1000
"""Below every pod without a class, whose priority is 0. The cluster autoscaler starts no node for
a pod below -10, which is right for one that waits for a card."""


class GivesWay(tf.Construct):
    """A PriorityClass of a pod that every other pod may displace, and that displaces none."""

    def __init__(self, scope: tf.Construct, id: str, *, namespace: str) -> None:
        """Declare the class.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The endpoint's namespace. Classes have none, so it is part of the name.
        """
        super().__init__(scope, id)
        self.name = f"{namespace}-gives-way"
        self.resource = _CLASS.PriorityClassV1(
            self,
            "Resource",
            metadata=_CLASS.PriorityClassV1Metadata(name=self.name, labels=labels(ENDPOINT)),
            value=PRIORITY,
            preemption_policy="Never",
            description="The vision models use an idle GPU and leave it to whoever needs it.",
        )
