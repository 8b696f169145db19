"""The settings of a cluster, and which values they accept; the values are in production.py.

Constructs read no environment variables and have no values of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from in_pod.exporter.contract import PORT, STATE_PATH
from llama_swap_config.cluster.addresses import ip_and_port, is_part_of_internet
from llama_swap_config.cluster.gpu_tenants import GpuTenant
from llama_swap_config.cluster.ignored_fields import (
    IgnoredField,
    require_distinct,
    set_once,
)
from llama_swap_config.cluster.labels import EXPORTER
from llama_swap_config.cluster.monitoring import Monitoring
from llama_swap_config.cluster.patterns import ADDRESS, DNS_LABEL, DNS_NAME, IMAGE
from llama_swap_config.cluster.pod_resources import HOSTNAME, Gpu, PodResources
from llama_swap_config.cluster.sharing import Alone, AtOnce, ByWindow, Sharing
from llama_swap_config.cluster.storage import (
    CUDA_CACHE,
    MODELS,
    LocalSsdStorage,
    ProvisionedStorage,
    Storage,
)
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.errors import ConfigError, require_setting
from llama_swap_config.fit.budget import Node
from llama_swap_config.fit.card import Card
from llama_swap_config.front_ends import FRONT_ENDS
from llama_swap_config.front_ends.front_end import FrontEndName
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import DEVICE
from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from llama_swap_config.renamed import renamed_import
from llama_swap_config.typed import typed
from stacks.pool import Pool

_SCHEMA = re.compile(r"[A-Za-z_][\w-]{0,62}", re.ASCII)

ONLY_POOL = "main"
"""Name of the first pool where the settings give it none."""
_BUILD_IN_TAG = re.compile(r":[\w.-]*-b(\d+)@", re.ASCII)
"""llama-swap's images have tags such as v250-cuda-b10524."""


@typed(
    "settings",
    gpu_window="sharing=ByWindow(tenants=...), or sharing=Alone() instead of None",
    client_namespaces="the consumers in llama_swap_config/consumers.py, monitoring_namespaces="
    '("monitoring",) and, for a LiteLLM that runs already, gateway=ExistingGateway('
    'namespace="litellm", ...)',
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one endpoint.

    Raises:
        ConfigError: when a setting has a value that it does not accept; the message names it.
    """

    storage: Storage
    storage_size_gib: int
    namespace: str
    service: str = "llama-swap"
    port: int = 8080
    prevent_destroy: bool = True
    """Whether Terraform refuses to delete the namespace, the volume or its claim."""
    llama_swap_image: str
    """Image of the legacy layout, with its programs in /app."""
    engine_build: int
    """Build of llama.cpp in that image, as `llama-server --version` prints it."""
    python_image: str
    """Image with Python for the programs that run in the cluster from a ConfigMap."""
    gpu: Gpu
    resources: PodResources = field(default_factory=PodResources)
    run_as_user: int = 10001
    """User and group of every pod, which must be able to write to the volume."""
    pre_stop_s: int = 5
    """Seconds before SIGTERM, so that the Service stops sending before llama-swap stops
    listening."""
    termination_grace_period_s: int = 50
    """Seconds before SIGKILL; llama-swap drains for up to 30 s and exits after 35 s at the latest,
    beside the pause above."""
    gateway: Gateway | ExistingGateway | None = None
    """LiteLLM in front of the endpoint, the only one that may ask it (default: none; each
    consumer's namespace may)."""
    monitoring_namespaces: tuple[str, ...] = ()
    """Namespaces whose pods may scrape endpoint and gateway."""
    monitoring: Monitoring | None = None
    """The exporter, which tells Prometheus, the gateway and `ops status` what the endpoint does
    (default: none)."""
    remote_images: bool = True
    """Whether llama-server may fetch an `image_url` from the internet, which requires API keys. It
    may never fetch one from the cluster, another node or private ranges. No setting keeps it from
    the pod's own ports: there only the keys protect."""
    internal_ranges: tuple[str, ...] = ()
    """Public ranges of the operator, in CIDR, that it may not reach either."""
    api_server: tuple[str, ...] = ()
    """Addresses of the API server for the CronJob that restores tenants, as `kubectl get endpoints
    kubernetes` shows them, such as '192.168.1.10:6443' (default: ports 443 and 6443 of private
    addresses)."""
    front_end: FrontEndName = "llama-swap"
    """The program that starts and stops the models; docs/adr/0014 compares them."""
    llama_swap: LlamaSwapSettings = field(default_factory=LlamaSwapSettings)
    """Settings of llama-swap; the front end llama-server uses only `server` and `api_key_env`."""
    api_key_secret: str | None = None
    """Secret with the API keys, under the names of `llama_swap.api_key_env`; None only with
    `allow_no_key`."""
    allow_no_key: bool = False
    """Whether the endpoint may run without API keys. Then a picture's address can load and unload
    models: llama-server fetches it, and no NetworkPolicy governs a pod's requests to itself."""
    hf_token_secret: str | None = None
    """Secret with the key HF_TOKEN for the download Job (default: anonymous downloads)."""
    hf_endpoint: str | None = None
    """Address of a mirror of the hub (default: https://huggingface.co)."""
    https_proxy: str | None = None
    """Proxy of the download Job, http://host:port without a login (default: none)."""
    upkeep: Upkeep | None = None
    """When the volume is verified and pruned (default: never)."""
    warm_wait_s: int | None = 3600
    """Seconds that a starting pod waits for the download before it serves the models that are
    complete; None disables the warm-up."""
    sharing: Sharing = field(default_factory=Alone)
    """Who owns the card (default: nothing else uses it)."""
    ignored_fields: tuple[IgnoredField, ...] = ()
    """Fields that somebody else writes, such as an admission webhook: a deploy does not change
    them, and drift only mentions them."""
    state_schema: str
    """PostgreSQL schema of the Terraform state."""
    pool: str = ONLY_POOL
    """Name of this pool, by which a model names it as its home where there are further ones."""
    pools: tuple[Pool, ...] = ()
    """Further pools: cards of other nodes, each with an endpoint of its own (default: none)."""

    def __post_init__(self) -> None:
        for name in ("namespace", "service", "pool"):
            value = getattr(self, name)
            require_setting(DNS_LABEL.fullmatch(value), name, value, "a DNS label")
        require_setting(
            not self.namespace.startswith("system-"),
            "namespace",
            self.namespace,
            "no name that begins with 'system-', which Kubernetes reserves for PriorityClasses",
        )
        require_setting(
            _SCHEMA.fullmatch(self.state_schema),
            "state_schema",
            self.state_schema,
            "a name of letters, digits, _ and -, at most 63",
        )
        for value in self.monitoring_namespaces:
            require_setting(
                DNS_LABEL.fullmatch(value), "monitoring_namespaces", value, "a DNS label"
            )
        for value in self.internal_ranges:
            require_setting(
                is_part_of_internet(value),
                "internal_ranges",
                value,
                "a part of the internet in CIDR, such as '203.0.113.0/24'",
            )
        for value in self.api_server:
            require_setting(
                ip_and_port(value), "api_server", value, "IP:PORT, such as '192.168.1.10:6443'"
            )
        for name in ("llama_swap_image", "python_image"):
            value = getattr(self, name)
            require_setting(
                IMAGE.fullmatch(value), name, value, "an image pinned by its @sha256 digest"
            )
        require_setting(
            self.engine_build >= 1,
            "engine_build",
            self.engine_build,
            "a build number of llama.cpp",
        )
        if tagged := _BUILD_IN_TAG.search(self.llama_swap_image):
            require_setting(
                self.engine_build == int(tagged[1]),
                "engine_build",
                self.engine_build,
                f"{tagged[1]}, as the tag of llama_swap_image says",
            )
        require_setting(1 <= self.port <= 65535, "port", self.port, "1 to 65535")
        require_setting(
            self.storage_size_gib >= 1, "storage_size_gib", self.storage_size_gib, "at least 1"
        )
        if isinstance(self.storage, LocalSsdStorage):
            node = self.gpu.node_selector.get(HOSTNAME, self.storage.node)
            require_setting(
                self.storage.node == node,
                "storage.node",
                self.storage.node,
                f"{node!r}, the node of gpu.node_selector, where the serving pod runs",
            )
        require_setting(
            self.run_as_user >= 1, "run_as_user", self.run_as_user, "a user that is not root"
        )
        require_setting(
            self.termination_grace_period_s >= self.pre_stop_s + 40,
            "termination_grace_period_s",
            self.termination_grace_period_s,
            f"at least pre_stop_s + 40 = {self.pre_stop_s + 40}",
        )
        require_setting(self.pre_stop_s >= 0, "pre_stop_s", self.pre_stop_s, "at least 0")
        for name in ("api_key_secret", "hf_token_secret"):
            value = getattr(self, name)
            require_setting(
                value is None or DNS_NAME.fullmatch(value),
                name,
                value,
                "the name of a Secret in the endpoint's namespace, or None",
            )
        for name in ("hf_endpoint", "https_proxy"):
            value = getattr(self, name)
            require_setting(
                value is None or ADDRESS.fullmatch(value),
                name,
                value,
                "http(s)://host[:port][/path], without a login",
            )
        require_setting(
            self.https_proxy is None or self.https_proxy.startswith("http:"),
            "https_proxy",
            self.https_proxy,
            "http://host[:port]: the download speaks no TLS to the proxy itself",
        )
        require_setting(
            self.hf_token_secret is None or not (self.hf_endpoint or "").startswith("http:"),
            "hf_endpoint",
            self.hf_endpoint,
            "https://... with hf_token_secret, whose token would be readable on the way",
        )
        require_setting(
            self.warm_wait_s is None or self.warm_wait_s >= 0,
            "warm_wait_s",
            self.warm_wait_s,
            "at least 0, or None to disable the warm-up",
        )
        cache = self.gpu.cuda_cache
        if cache is not None:
            self._require_other_names(cache)
        if cache is not None and isinstance(self.storage, LocalSsdStorage):
            require_setting(
                cache.node == self.storage.node,
                "gpu.cuda_cache.node",
                cache.node,
                f"the node of storage, which is {self.storage.node}, because a pod mounts both",
            )
            models, kernels = PurePosixPath(self.storage.path), PurePosixPath(cache.path)
            require_setting(
                not models.is_relative_to(kernels) and not kernels.is_relative_to(models),
                "gpu.cuda_cache.path",
                cache.path,
                f"a directory beside the models', which is {self.storage.path!r}",
            )
        require_setting(
            self.gpu.count == 1 or not isinstance(self.sharing, AtOnce),
            "gpu.count",
            self.gpu.count,
            "1 with sharing=AtOnce(...): several slices may all be of one card",
        )
        require_setting(
            self.gpu.count == 1 or self.llama_swap.server.device == DEVICE,
            "llama_swap.server.device",
            self.llama_swap.server.device,
            f"{DEVICE!r} where gpu.count is {self.gpu.count}: `cards` of a model names its own",
        )
        require_distinct(self.set_once)
        _ = self.card  # Checks what the co-tenants leave of it.
        for tenant in self.tenants:
            require_setting(
                tenant.namespace != self.namespace,
                "sharing.tenants.namespace",
                tenant.namespace,
                "another namespace than the endpoint's",
            )
        for value in self.llama_swap.api_key_env:
            require_setting(
                value not in FRONT_ENDS[self.front_end].own_variables,
                "llama_swap.api_key_env",
                value,
                "another name, because llama-server reads all keys from that variable",
            )
        require_setting(
            bool(self.llama_swap.api_key_env) == (self.api_key_secret is not None),
            "api_key_secret",
            self.api_key_secret,
            "the name of a Secret if llama_swap.api_key_env names variables, otherwise None",
        )
        self._require_key()
        self._require_apart()

    def _require_other_names(self, cache: LocalSsdStorage) -> None:
        require_setting(
            len(set(self._claims)) == len(self._claims),
            "gpu.cuda_cache.claim",
            cache.claim,
            f"another claim than the models', which is {self.storage.claim_name(MODELS)!r}",
        )
        if isinstance(self.storage, ProvisionedStorage):
            return
        models = self.storage.volume_name(MODELS)
        require_setting(
            cache.volume_name(CUDA_CACHE) != models,
            "gpu.cuda_cache.volume",
            cache.volume,
            f"another volume than the models', which is {models!r}",
        )

    def _require_apart(self) -> None:
        gateway = self.gateway
        if isinstance(gateway, ExistingGateway):
            require_setting(
                gateway.namespace != self.namespace,
                "gateway.namespace",
                gateway.namespace,
                "another namespace than the endpoint's, all of whose pods could ask it otherwise",
            )
        if isinstance(gateway, Gateway):
            require_setting(
                gateway.service not in (self.service, EXPORTER),
                "gateway.service",
                gateway.service,
                "another name than the Services of endpoint and exporter",
            )
            require_setting(
                gateway.keys_secret not in (self.api_key_secret, self.hf_token_secret),
                "gateway.keys_secret",
                gateway.keys_secret,
                "a Secret of its own, because an entry is a consumer",
            )

    def _require_key(self) -> None:
        require_setting(
            self.gateway is None or self.llama_swap.api_key_env,
            "api_key_secret",
            self.api_key_secret,
            "the Secret with the endpoint's key, which a gateway sends",
        )
        if self.llama_swap.api_key_env or (self.allow_no_key and not self.remote_images):
            return
        raise ConfigError.of(
            "settings",
            "api_key_secret",
            None,
            expected=(
                "the Secret with the API keys, because without a key the address of a picture can "
                "load and unload models"
            ),
            remedy=(
                'Set api_key_secret="llama-swap-keys" and llama_swap=LlamaSwapSettings('
                'api_key_env=("KEY_GATEWAY",)) in stacks/production.py, as docs/settings.md says; '
                "or accept that risk with allow_no_key=True and remote_images=False"
            ),
        )

    @property
    def tenants(self) -> tuple[GpuTenant, ...]:
        """The workloads that own the card outside a window."""
        return self.sharing.tenants if isinstance(self.sharing, ByWindow) else ()

    @property
    def url(self) -> str:
        """The endpoint's address in the cluster, without a path."""
        return f"http://{self.service}.{self.namespace}.svc.cluster.local:{self.port}"

    def admitted_namespaces(self, consumers: tuple[Consumer, ...]) -> tuple[str, ...]:
        """Return the namespaces whose pods may connect to the endpoint; its own is not among them.

        Args:
            consumers: The declared ones, which ask for themselves where there is no gateway.
        """
        match self.gateway:
            case None:
                clients = tuple(consumer.namespace for consumer in consumers)
            case ExistingGateway(namespace=namespace):
                clients = (namespace,)
            case Gateway():
                clients = ()
        return (*clients, *self.monitoring_namespaces)

    @property
    def state_url(self) -> str | None:
        """Address where the exporter tells the endpoint's state; None without one."""
        if self.monitoring is None:
            return None
        return f"http://{EXPORTER}.{self.namespace}.svc.cluster.local:{PORT}{STATE_PATH}"

    @property
    def card(self) -> Card:
        """The card, and what other programs leave of it."""
        return self.gpu.card(self.sharing.co_tenants if isinstance(self.sharing, AtOnce) else ())

    @property
    def download_nodes(self) -> Mapping[str, str]:
        """The labels of the nodes for the pods that download; empty: any node.

        A volume that one node at a time can use has to be made, and used, where the models are
        served. That of a LocalSsdStorage says by itself where it is.
        """
        is_of_one_node = (
            isinstance(self.storage, ProvisionedStorage)
            and self.storage.access_mode == "ReadWriteOnce"
        )
        return dict(self.gpu.node_selector) if is_of_one_node else {}

    @property
    def node(self) -> Node:
        """The node that the models have to fit."""
        return Node(
            card=self.card,
            cards=self.gpu.count,
            engine_build=self.engine_build,
            front_end=self.front_end,
            llama_swap=self.llama_swap,
            storage_size_gib=self.storage_size_gib,
            memory_limit_gib=self.resources.memory_limit_gib,
        )

    @property
    def set_once(self) -> tuple[IgnoredField, ...]:
        """All fields that Terraform sets only when it creates the object."""
        provisioned = isinstance(self.storage, ProvisionedStorage)
        # The cluster can enlarge a volume that it has made.
        claims = self._claims[1:] if provisioned else self._claims
        return (*set_once(claims), *self.ignored_fields)

    @property
    def _claims(self) -> tuple[str, ...]:
        """The claims' names, of the models and of the CUDA cache if it is kept."""
        cache = self.gpu.cuda_cache
        return (
            self.storage.claim_name(MODELS),
            *(() if cache is None else (cache.claim_name(CUDA_CACHE),)),
        )

    @property
    def hub_hosts(self) -> tuple[str, ...]:
        """Addresses of the hosts that the settings name for downloads: mirror and proxy."""
        # HTTPS_PROXY is not for http addresses.
        proxied = self.https_proxy is not None and not (self.hf_endpoint or "").startswith("http:")
        urls = (None if proxied else self.hf_endpoint, self.https_proxy)
        return tuple(url for url in urls if url is not None)

    @property
    def hub_env(self) -> dict[str, str]:
        """Environment of the download program: the hub's address and the proxy."""
        env = {"HF_ENDPOINT": self.hf_endpoint, "HTTPS_PROXY": self.https_proxy}
        return {name: value for name, value in env.items() if value is not None}


if not TYPE_CHECKING:  # Otherwise a type checker would accept any name.
    __getattr__ = renamed_import(
        __name__,
        PRODUCTION="PRODUCTION has moved from stacks.settings. Use "
        "`from stacks.production import PRODUCTION`.",
    )
