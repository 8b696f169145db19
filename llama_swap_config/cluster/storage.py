"""The storage of the models' volume: an NFS export, or the GPU node's SSD."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from llama_swap_config.cluster.patterns import DNS_NAME
from llama_swap_config.errors import require_setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NfsStorage:
    """An NFS export that every node can mount."""

    server: str
    """IP address of the NFS server; the node's resolver does not know the cluster's names."""
    path: str
    mount_options: tuple[str, ...] = ("nfsvers=4.1", "hard", "nconnect=8", "noatime")
    """`hard`, because a soft mount turns a slow server into I/O errors in the middle of a
    model."""

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.server)
        except ValueError:
            require_setting(False, "storage.server", self.server, "an IP address")
        require_setting(self.path.startswith("/"), "storage.path", self.path, "an absolute path")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSsdStorage:
    """A directory on the GPU node's SSD."""

    node: str
    """The node's `kubernetes.io/hostname`; every pod with the volume runs there."""
    path: str
    """An existing directory of that node."""

    def __post_init__(self) -> None:
        require_setting(
            DNS_NAME.fullmatch(self.node), "LocalSsdStorage.node", self.node, "a host name"
        )
        require_setting(
            self.path.startswith("/"), "LocalSsdStorage.path", self.path, "an absolute path"
        )
