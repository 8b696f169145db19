"""The ConfigMaps with what LiteLLM reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from constructs import terraform as tf

from llama_swap_config.cluster.labels import GATEWAY, labels


class GatewayFiles(tf.Construct):
    """Two ConfigMaps to mount as directories: the configuration, and the package of the hooks.

    The namespace of a gateway that runs already must exist.
    """

    def __init__(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: str,
        name: str,
        config: Mapping[str, str],
        hooks: Mapping[str, str],
        depends_on: Sequence[tf.TerraformResource] = (),
    ) -> None:
        """Declare the ConfigMaps.

        Args:
            scope: The stack.
            id: The construct's id.
            namespace: The gateway's namespace.
            name: Name of the ConfigMap with the configuration; that of the hooks is
                `<name>-hooks`.
            config: File name -> text of LiteLLM's configuration and of the policy.
            hooks: File name -> source of each module.
            depends_on: Resources to create first (default: none).
        """
        super().__init__(scope, id)
        self.config_name = name
        self.hooks_name = f"{name}-hooks"
        content = json.dumps([dict(config), dict(hooks)], sort_keys=True)
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()
        self.config_maps = [
            tf.config_map_v1.ConfigMapV1(
                self,
                part,
                metadata=tf.config_map_v1.ConfigMapV1Metadata(
                    name=config_map, namespace=namespace, labels=labels(GATEWAY)
                ),
                data={key: tf.terraform_text(text) for key, text in files.items()},
                depends_on=list(depends_on),
            )
            for part, config_map, files in (
                ("config", self.config_name, config),
                ("hooks", self.hooks_name, hooks),
            )
        ]
