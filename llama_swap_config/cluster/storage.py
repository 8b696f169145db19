"""The storage of a volume: an NFS export, a directory of the GPU node, or a StorageClass."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import ClassVar, Literal

from llama_swap_config.cluster.labels import APP
from llama_swap_config.cluster.patterns import DNS_NAME
from llama_swap_config.errors import require_setting
from llama_swap_config.typed import typed

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany"]
MODELS, CUDA_CACHE = "models", "cuda-cache"
"""The uses of a volume, after which its objects are named and labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """What every storage has: a claim, and its class."""

    _place: ClassVar[str] = "storage"
    """Where the settings have it."""
    claim: str | None = None
    """Name of the claim (default: `models`, or `cuda-cache`); another one to take over a claim
    that exists."""
    storage_class: str | None = None

    def __post_init__(self) -> None:
        for name in ("claim", "storage_class"):
            self._require_name(name)

    def claim_name(self, use: str) -> str:
        """Return the claim's name for a use: `MODELS` or `CUDA_CACHE`."""
        return self.claim or use

    def _require_name(self, name: str) -> None:
        value = getattr(self, name)
        require_setting(
            value is None or DNS_NAME.fullmatch(value),
            f"{self._place}.{name}",
            value,
            "the name of an object, in lower case, or None",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared(_Claimed):
    """Storage with a PersistentVolume of ours, to which the claim is bound by name.

    `storage_class` is a name without a provisioner (default: the volume's name), or empty, as of
    a claim that exists.
    """

    volume: str | None = None
    """Name of the PersistentVolume, unique in the cluster (default: `llama-cpp-models`, or
    `llama-cpp-cuda-cache`)."""

    def __post_init__(self) -> None:
        self._require_name("claim")
        self._require_name("volume")
        if self.storage_class != "":
            self._require_name("storage_class")

    def volume_name(self, use: str) -> str:
        """Return the volume's name for a use: `MODELS` or `CUDA_CACHE`."""
        return self.volume or f"{APP}-{use}"


@typed("settings", "storage.")
@dataclass(frozen=True, slots=True, kw_only=True)
class NfsStorage(_Declared):
    """An NFS export that every node can mount."""

    server: str
    """IP address of the NFS server; the node's resolver does not know the cluster's names."""
    path: str
    mount_options: tuple[str, ...] = ("nfsvers=4.1", "hard", "nconnect=8", "noatime")
    """`hard`, because a soft mount turns a slow server into I/O errors in the middle of a
    model."""
    access_mode: AccessMode = "ReadWriteMany"
    """As a claim that exists has it; any node mounts the export all the same."""

    def __post_init__(self) -> None:
        # `super()` does not know a class that `slots` made anew.
        _Declared.__post_init__(self)
        try:
            ipaddress.ip_address(self.server)
        except ValueError:
            require_setting(False, "storage.server", self.server, "an IP address")
        require_setting(self.path.startswith("/"), "storage.path", self.path, "an absolute path")


@typed("settings", "LocalSsdStorage.")
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSsdStorage(_Declared):
    """A directory on the GPU node's SSD."""

    _place: ClassVar[str] = "LocalSsdStorage"
    node: str
    """The node's `kubernetes.io/hostname`; every pod with the volume runs there."""
    path: str
    """An existing directory of that node."""

    def __post_init__(self) -> None:
        _Declared.__post_init__(self)
        require_setting(
            DNS_NAME.fullmatch(self.node), "LocalSsdStorage.node", self.node, "a host name"
        )
        require_setting(
            self.path.startswith("/"), "LocalSsdStorage.path", self.path, "an absolute path"
        )

    @property
    def access_mode(self) -> AccessMode:
        """`ReadWriteOnce`, which admits all pods of the node; a local volume supports no other."""
        return "ReadWriteOnce"


@typed("settings", "storage.")
@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedStorage(_Claimed):
    """A volume that the cluster makes for the claim, by a StorageClass with a provisioner.

    `storage_class` names it (default: the cluster's default class). Whether the files outlive the
    claim is the class's reclaim policy.
    """

    access_mode: AccessMode = "ReadWriteOnce"
    """`ReadWriteOnce`: the download runs on the GPU node, too. `ReadWriteMany`: on any node."""


DeclaredStorage = NfsStorage | LocalSsdStorage
Storage = NfsStorage | LocalSsdStorage | ProvisionedStorage
