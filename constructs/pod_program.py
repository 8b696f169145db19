"""A program of in_pod/ in a ConfigMap, mounted as Python packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from constructs import terraform as tf

from constructs.endpoint_namespace import EndpointNamespace
from constructs.pod import nested
from llama_swap_config.cluster.labels import labels

_Volume = TypeVar("_Volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodProgram:
    """The modules of a package, of the packages that it imports, and the files that it reads.

    A ConfigMap has no folders: the volume's items put each module into its package's folder, and
    the container runs `python3 -m` in the mount's directory.
    """

    package: str
    modules: Mapping[str, str]
    """File name -> source of each module."""
    directory: str
    """Mount path of the volume and working directory of the container."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File name -> content of each file beside the package."""
    shared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Package of in_pod/ that it imports -> its modules. The packages then lie in `in_pod/`, where
    their relative imports find each other."""

    @property
    def command(self) -> list[str]:
        """Command of the container, to run in `directory`."""
        return ["python3", "-m", f"in_pod.{self.package}" if self.shared else self.package]

    @property
    def paths(self) -> dict[str, str]:
        """Key in the ConfigMap -> path below `directory`."""
        return {key: path for key, path, _ in self._sources}

    @property
    def data(self) -> dict[str, str]:
        """Content of the ConfigMap."""
        return {key: text for key, _, text in self._sources}

    @property
    def _sources(self) -> Iterator[tuple[str, str, str]]:
        """Key, path and text of each file and module."""
        folder = "in_pod/" if self.shared else ""
        for name, text in self.files.items():
            yield name, name, text
        for name, text in self.modules.items():
            yield name, f"{folder}{self.package}/{name}", text
        for package, modules in self.shared.items():
            for name, text in modules.items():
                yield f"{package}.{name}", f"{folder}{package}/{name}", text

    @property
    def sha256(self) -> str:
        """Hash of all files and modules."""
        content = json.dumps(self.data, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def config_map(
        self,
        scope: tf.Construct,
        id: str,
        *,
        namespace: EndpointNamespace,
        name: str,
        component: str,
    ) -> tf.config_map_v1.ConfigMapV1:
        """Declare the ConfigMap.

        Args:
            scope: Its construct.
            id: Its id.
            namespace: Its namespace.
            name: Its name.
            component: The component in its labels.
        """
        return tf.config_map_v1.ConfigMapV1(
            scope,
            id,
            metadata=tf.config_map_v1.ConfigMapV1Metadata(
                name=name, namespace=namespace.name, labels=labels(component)
            ),
            data={key: tf.terraform_text(text) for key, text in self.data.items()},
            depends_on=[namespace.resource],
        )

    def volume(self, struct: Callable[..., _Volume], name: str, config_map: str) -> _Volume:
        """Declare a pod's volume of that ConfigMap.

        Args:
            struct: The provider's class, which differs for each kind of pod.
            name: The volume's name.
            config_map: The ConfigMap's name.
        """
        source = nested(struct, "config_map")
        item = nested(source, "items")
        items = [item(key=key, path=path) for key, path in self.paths.items()]
        return struct(name=name, config_map=source(name=config_map, items=items))
