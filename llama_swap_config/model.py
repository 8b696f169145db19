"""A model of the registry: its fields, and which values they accept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from in_pod.download.contract import BLOBS, SETS, is_repository_path
from llama_swap_config import flags as llama_server_flags
from llama_swap_config.errors import ConfigError
from llama_swap_config.quantisation import LABEL, LONGEST_LABEL
from llama_swap_config.typed import typed

KvCacheType = Literal["f16", "bf16", "q8_0", "q4_0"]
Reasoning = Literal["on", "off"]

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RESERVED_IDS = (BLOBS, SETS)
_RESERVED_ENV = ("PATH", "LD_LIBRARY_PATH", "LLAMA_API_KEY", "HOME")


def is_gguf_path(text: str) -> bool:
    """Whether a text is the path of one GGUF file in a repository, not a pattern of several."""
    return is_repository_path(text) and text.lower().endswith(".gguf") and "*" not in text


@typed("model", "sampling.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Defaults that llama-server applies where a request does not set them."""

    temperature: float | None = None
    """0 to 2 (default: llama-server's, 0.8)."""
    top_p: float | None = None
    """0 to 1 (default: llama-server's, 0.95)."""
    top_k: int | None = None
    """0 (off) or more (default: llama-server's, 40)."""
    min_p: float | None = None
    """0 to 1 (default: llama-server's, 0.05)."""


@typed("model")
@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that the endpoint offers.

    Raises:
        ConfigError: when a field has a value that it does not accept; the message names both.
    """

    id: str
    """Name in a request's `model` field and of the link on the volume; a DNS label."""
    repository: str
    """Hugging Face repository of the GGUF files, `owner/name`."""
    quantisation: str
    """Quantisation of the weights, as their file's name spells it in any case: `UD-Q4_K_XL`."""
    file: str | None = None
    """Path of the weights' file in the repository, the first part of a split model (default: the
    only file with the quantisation in its name)."""
    projector: str | None = "F16"
    """Quantisation of the vision projector (mmproj); None for a text model."""
    projector_file: str | None = None
    """Path of the projector's file in its repository (default: the only file with `mmproj` and
    the quantisation in its name)."""
    projector_repository: str | None = None
    """Hugging Face repository of the projector (default: that of the weights)."""
    context: int = 3072
    """Context in tokens, shared by all parallel slots (`--ctx-size`)."""
    ttl_s: int = 600
    """Idle seconds before the front end unloads the model; 0 disables it."""
    aliases: tuple[str, ...] = ()
    """Other names that a request may use."""
    name: str = ""
    """Title in a list of models (default: the id)."""
    description: str = ""
    """One sentence for a list of models."""
    parallel_slots: int = 1
    """Requests answered at a time; each gets `context / parallel_slots` tokens."""
    kv_cache_type_k: KvCacheType = "f16"
    """Type of the cached keys, the same as of the values: a mixed cache has no fused kernel."""
    kv_cache_type_v: KvCacheType = "f16"
    """Type of the cached values."""
    image_max_tokens: int | None = 1024
    """Tokens of the context that one image may take; None for a text model."""
    image_min_tokens: int | None = None
    """Tokens that a smaller image is scaled up to, so that Qwen-VL can locate things: llama.cpp
    recommends 1024. Takes prompt time, not VRAM: the budget reckons with `image_max_tokens`
    (default: the model's own)."""
    reasoning: Reasoning = "off"
    """Whether a thinking model thinks; `on` costs tokens before each answer."""
    sampling: Sampling = field(default_factory=Sampling)
    """Sampling defaults (default: llama-server's)."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables of this model's llama-server."""
    pools: tuple[str, ...] = ()
    """Pools that serve the model: its home first, then where requests go when that does not
    answer (default: the only pool)."""
    cards: tuple[int, ...] = (0,)
    """Cards of the pod, counted from 0, of which `gpu.count` sets the number; several: the layers
    are split over them in this order (`--device`), and a projector is on the first."""
    tensor_split: tuple[int, ...] = ()
    """Shares of the layers on several cards, such as (3, 2) (default: equal shares)."""
    extra_args: tuple[str, ...] = ()
    """Further llama-server arguments, one word each; not those that a field renders."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", MappingProxyType(dict(self.env)))
        self._check_names()
        self._check_files()
        self._check_numbers()
        self._check_kv_cache()
        self._check_sampling()
        self._check_env()
        self._check_pools()
        self._check_cards()
        llama_server_flags.check_extra_args(f"model {self.id!r}", self.extra_args)

    @property
    def shares(self) -> tuple[int, ...]:
        """The shares of the layers on several cards; empty on one card."""
        if len(self.cards) == 1:
            return ()
        return self.tensor_split or (1,) * len(self.cards)

    def error(self, field: str, value: object, expected: str, remedy: str) -> ConfigError:
        """Make the error for a field of this model or of its files."""
        return ConfigError.of(f"model {self.id!r}", field, value, expected=expected, remedy=remedy)

    def _check_names(self) -> None:
        if not _ID.fullmatch(self.id) or self.id in _RESERVED_IDS:
            raise self.error(
                "id", self.id, "a DNS label (a-z, 0-9 and '-', at most 63, not 'blobs' or 'sets')",
                "Rename the model",
            )  # fmt: skip
        for alias in self.aliases:
            if not _ALIAS.fullmatch(alias):
                raise self.error(
                    "aliases",
                    alias,
                    "letters, digits and '._:/-', at most 128",
                    "Rename the alias",
                )
        for name, text in (("name", self.name), ("description", self.description)):
            if not llama_server_flags.is_one_line(text):
                raise self.error(
                    name, text, "one line of text without '${' (llama-swap reads it as a macro)",
                    "Reword it",
                )  # fmt: skip

    def _check_files(self) -> None:
        for name in ("repository", "projector_repository"):
            repository = getattr(self, name)
            if repository is not None and not _REPOSITORY.fullmatch(repository):
                raise self.error(name, repository, "owner/name", "Copy it from the hub's page")
        for name in ("quantisation", "projector"):
            label = getattr(self, name)
            if label is not None and not (LABEL.fullmatch(label) and len(label) <= LONGEST_LABEL):
                raise self.error(
                    name, label,
                    f"a label such as Q4_K_M or UD-Q4_K_XL, at most {LONGEST_LABEL} characters",
                    "Copy it from the file's name",
                )  # fmt: skip
        for name in ("file", "projector_file"):
            path = getattr(self, name)
            if path is not None and not is_gguf_path(path):
                raise self.error(
                    name, path, "the path of one file in the repository, ending in .gguf",
                    "Copy it from the hub's page",
                )  # fmt: skip
        for name in ("projector_file", "projector_repository"):
            if self.projector is None and getattr(self, name) is not None:
                raise self.error(
                    name, getattr(self, name), "None without a projector",
                    "Remove it, or set projector",
                )  # fmt: skip

    def _check_numbers(self) -> None:
        for name, value, minimum in (
            ("context", self.context, 1),
            ("ttl_s", self.ttl_s, 0),
            ("parallel_slots", self.parallel_slots, 1),
        ):
            if value < minimum:
                raise self.error(
                    name, value, f"a whole number of at least {minimum}", "Correct the number"
                )
        if (self.projector is None) != (self.image_max_tokens is None):
            raise self.error(
                "image_max_tokens", self.image_max_tokens,
                "a number with a projector and None without one",
                "Set projector and image_max_tokens together",
            )  # fmt: skip
        if self.image_max_tokens is None:
            if self.image_min_tokens is not None:
                raise self.error(
                    "image_min_tokens", self.image_min_tokens, "None for a text model", "Remove it"
                )
            return
        if self.image_max_tokens < 8:
            raise self.error(
                "image_max_tokens", self.image_max_tokens, "a whole number of at least 8",
                "Correct the number",
            )  # fmt: skip
        if (
            self.image_min_tokens is not None
            and not 1 <= self.image_min_tokens <= self.image_max_tokens
        ):
            raise self.error(
                "image_min_tokens", self.image_min_tokens,
                f"1 to image_max_tokens ({self.image_max_tokens})",
                "Lower it, or raise image_max_tokens",
            )  # fmt: skip
        if self.context // self.parallel_slots <= self.image_max_tokens:
            raise self.error(
                "context", self.context,
                f"more than image_max_tokens ({self.image_max_tokens}) for each of "
                f"{self.parallel_slots} parallel_slots",
                "Raise context or lower image_max_tokens",
            )  # fmt: skip

    def _check_kv_cache(self) -> None:
        if self.kv_cache_type_k != self.kv_cache_type_v:
            raise self.error(
                "kv_cache_type_v", self.kv_cache_type_v,
                f"the same as kv_cache_type_k ({self.kv_cache_type_k})",
                "Set both alike: a mixed cache falls back to the CPU",
            )  # fmt: skip

    def _check_sampling(self) -> None:
        bounds = {"temperature": 2, "top_p": 1, "top_k": 2**31 - 1, "min_p": 1}
        for name, maximum in bounds.items():
            value = getattr(self.sampling, name)
            if value is not None and not 0 <= value <= maximum:
                raise self.error(f"sampling.{name}", value, f"0 to {maximum}", "Correct it")

    def _check_env(self) -> None:
        for name, value in self.env.items():
            if not _ENV_NAME.fullmatch(name):
                raise self.error("env", name, "a name of A-Z, 0-9 and '_'", "Rename the variable")
            if name in _RESERVED_ENV:
                raise self.error(
                    "env", name, f"a name other than {', '.join(_RESERVED_ENV)}", "Remove it"
                )
            if name.startswith("LLAMA_ARG_"):
                raise self.error(
                    "env", name, "a name other than LLAMA_ARG_..., which llama-server reads as "
                    "an unchecked flag", "Use extra_args",
                )  # fmt: skip
            if "${" in value or "\n" in value or "\0" in value:
                raise self.error(
                    f"env.{name}", value, "one line without '${'", "Write the value itself"
                )

    def _check_pools(self) -> None:
        if len(set(self.pools)) < len(self.pools):
            raise self.error(
                "pools", self.pools, "different names, the home first", "Name each pool once"
            )

    def _check_cards(self) -> None:
        cards, shares = self.cards, self.tensor_split
        if not cards or len(set(cards)) < len(cards) or min(cards) < 0:
            raise self.error(
                "cards", cards, "one or more different numbers of at least 0, such as (0, 1)",
                "Name each card once",
            )  # fmt: skip
        if shares and (len(cards) == 1 or len(shares) != len(cards) or min(shares) < 1):
            raise self.error(
                "tensor_split", shares,
                "a whole number of at least 1 for each of several cards, which are "
                f"{cards}; or () for equal shares",
                "Correct it, or remove it",
            )  # fmt: skip
