"""The gateway in the settings: one that runs already, or one that the stack deploys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llama_swap_config.cluster.patterns import ADDRESS, DNS_LABEL, DNS_NAME, IMAGE
from llama_swap_config.errors import require_setting
from llama_swap_config.typed import typed

MAJOR, LEAST = 1, (1, 106, 2)
"""The major version of LiteLLM whose hooks in_pod/gateway uses, and the first release tried;
1.82.7 and 1.82.8 had a credential stealer (MAL-2026-2144)."""
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)
_VERSION_IN_TAG = re.compile(r":[\w.-]*?(\d+\.\d+\.\d+)[\w.-]*@", re.ASCII)
"""LiteLLM's images have tags such as v1.108.7 and main-v1.108.7-stable."""


@typed("settings", "gateway.pictures.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What a request may carry.

    A PNG of 42 kB and 16,000 pixels a side takes 2.4 GB in llama-server.
    """

    number: int = 8
    """Pictures in one request."""
    megabytes: int = 20
    """Size of one picture, in units of 1,000,000 bytes."""
    megapixels: int = 50
    """Width times height of one picture, in units of 1,000,000 pixels."""

    def __post_init__(self) -> None:
        for name in ("number", "megabytes", "megapixels"):
            value = getattr(self, name)
            require_setting(value >= 1, f"gateway.pictures.{name}", value, "at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _LiteLlm:
    """What both kinds of gateway have."""

    litellm_version: str
    """Version of LiteLLM in its image, such as '1.108.7'."""
    port: int = 4000
    answer_timeout_s: int = 300
    """Seconds for an answer after its model is loaded."""
    pictures: Pictures = field(default_factory=Pictures)
    keys_secret: str = "gateway-keys"  # noqa: S105 - A name.
    """Secret of the consumers' keys, in the gateway's namespace; `python -m ops gateway keys`
    fills it."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may ask the gateway from a browser (default: none)."""

    def __post_init__(self) -> None:
        found = _VERSION.fullmatch(self.litellm_version)
        numbers = tuple(int(number) for number in found.groups()) if found else ()
        require_setting(
            numbers[:1] == (MAJOR,) and numbers >= LEAST,
            "gateway.litellm_version",
            self.litellm_version,
            f"a release of LiteLLM {MAJOR}, {'.'.join(map(str, LEAST))} or later",
        )
        require_setting(1 <= self.port <= 65535, "gateway.port", self.port, "1 to 65535")
        require_setting(
            self.answer_timeout_s >= 1,
            "gateway.answer_timeout_s",
            self.answer_timeout_s,
            "at least 1",
        )
        require_setting(
            DNS_NAME.fullmatch(self.keys_secret),
            "gateway.keys_secret",
            self.keys_secret,
            "the name of a Secret",
        )
        for origin in self.allowed_origins:
            require_setting(
                ADDRESS.fullmatch(origin) and origin.count("/") == 2,
                "gateway.allowed_origins",
                origin,
                "http(s)://host[:port]",
            )


@typed("settings", "gateway.")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingGateway(_LiteLlm):
    """A LiteLLM that runs already: the stack only makes the ConfigMaps that it mounts."""

    namespace: str
    """Its namespace, the only one whose pods may connect to the endpoint."""

    def __post_init__(self) -> None:
        _LiteLlm.__post_init__(self)
        require_setting(
            DNS_LABEL.fullmatch(self.namespace), "gateway.namespace", self.namespace, "a DNS label"
        )


@typed("settings", "gateway.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(_LiteLlm):
    """A LiteLLM that the stack deploys beside the endpoint, without a database."""

    image: str
    """Image of LiteLLM by digest, with the program `litellm` on PATH; a tag of its release may
    stand before the digest."""
    service: str = "litellm"
    """Name of its Service."""
    replicas: int = 1
    """Pods. Each counts limits and knows who uses a model by itself, so a second one doubles the
    limits and may evict what the first one protects."""
    cpu_request_millicores: int = 200
    memory_request_mib: int = 640
    memory_limit_mib: int = 2048
    """LiteLLM itself takes 400 to 520 MiB; the rest is for requests with pictures."""

    def __post_init__(self) -> None:
        _LiteLlm.__post_init__(self)
        require_setting(
            IMAGE.fullmatch(self.image),
            "gateway.image",
            self.image,
            "an image pinned by its @sha256 digest",
        )
        if tagged := _VERSION_IN_TAG.search(self.image):
            require_setting(
                self.litellm_version == tagged[1],
                "gateway.litellm_version",
                self.litellm_version,
                f"{tagged[1]!r}, as the tag of gateway.image says",
            )
        require_setting(
            DNS_LABEL.fullmatch(self.service), "gateway.service", self.service, "a DNS label"
        )
        require_setting(1 <= self.replicas <= 10, "gateway.replicas", self.replicas, "1 to 10")
        require_setting(
            self.cpu_request_millicores >= 1,
            "gateway.cpu_request_millicores",
            self.cpu_request_millicores,
            "at least 1",
        )
        require_setting(
            520 <= self.memory_request_mib <= self.memory_limit_mib,
            "gateway.memory_request_mib",
            self.memory_request_mib,
            f"at least 520, which LiteLLM itself takes, and at most memory_limit_mib, which is "
            f"{self.memory_limit_mib}",
        )
