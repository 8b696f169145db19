"""Fields that somebody else writes: Terraform ignores them, and drift tolerates them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llama_swap_config.cluster.labels import ENDPOINT
from llama_swap_config.cluster.terraform_names import FREE_MAPS, KINDS
from llama_swap_config.errors import require_setting
from llama_swap_config.typed import typed

_KINDS = tuple(kind for _, kind in KINDS.values())
_PART = re.compile(r"(?:^|\.)([a-zA-Z][\w-]*)|\[([\w./-]+)\]", re.ASCII)
_HASH = re.compile(r"-[0-9a-f]{10}$")

_ITS_NAME = "it names the object"
_ITS_ACCESS = "it decides who may do or reach what"
_ITS_IMAGE = (
    "a new image would not be deployed: declare the image by the name that the cluster gives it"
)
_WHAT_RUNS = "it decides what runs"
_ITS_CARD = "the card and the budget are reckoned with it"
_ITS_VOLUME = "the models are found by it"
_OF_EVERY = {("metadata", "name"): _ITS_NAME, ("metadata", "namespace"): _ITS_NAME}
_OF_A_POD = {
    ("command",): _WHAT_RUNS,
    ("args",): _WHAT_RUNS,
    ("env",): _WHAT_RUNS,
    ("envFrom",): "the API keys come from it",
    ("image",): _ITS_IMAGE,
    ("resources", "limits"): _ITS_CARD,
    ("securityContext",): _ITS_ACCESS,
    ("volumeMounts",): _WHAT_RUNS,
}
"""Fields of a container -> why they are the stack's."""
_POD = {
    ("hostAliases",): _ITS_ACCESS,
    ("hostIPC",): _ITS_ACCESS,
    ("hostNetwork",): _ITS_ACCESS,
    ("hostPID",): _ITS_ACCESS,
    ("automountServiceAccountToken",): _ITS_ACCESS,
    ("priorityClassName",): "it decides who has the card",
    ("runtimeClassName",): _ITS_CARD,
    ("securityContext",): _ITS_ACCESS,
    ("serviceAccountName",): _ITS_ACCESS,
    ("volumes",): _WHAT_RUNS,
    **{
        (containers, *path): why
        for containers in ("containers", "initContainers")
        for path, why in _OF_A_POD.items()
    },
}
_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_OWNED: dict[str, dict[tuple[str, ...], str]] = {
    "ConfigMap": {("data",): _WHAT_RUNS},
    "Deployment": {
        ("spec", "paused"): "a paused Deployment takes no new configuration",
        ("spec", "selector"): "it finds the pods",
        ("spec", "strategy"): "one card has room for one pod",
    },
    "NetworkPolicy": {("spec",): _ITS_ACCESS},
    "PersistentVolume": {
        ("spec", field): _ITS_VOLUME
        for field in (
            *("accessModes", "local", "nfs", "nodeAffinity", "persistentVolumeReclaimPolicy"),
            *("storageClassName", "volumeMode"),
        )
    },
    "PersistentVolumeClaim": {
        ("spec", field): _ITS_VOLUME
        for field in ("accessModes", "selector", "storageClassName", "volumeMode", "volumeName")
    },
    "PriorityClass": {("value",): "it decides who has the card"},
    "Role": {("rules",): _ITS_ACCESS},
    "RoleBinding": {("roleRef",): _ITS_ACCESS, ("subjects",): _ITS_ACCESS},
    "Service": {
        ("spec", "selector"): "it finds the pods",
        ("spec", "ports", "port"): "clients use it",
        ("spec", "ports", "targetPort"): "clients use it",
        ("spec", "ports", "nodePort"): _ITS_ACCESS,
        ("spec", "type"): _ITS_ACCESS,
        ("spec", "externalIPs"): _ITS_ACCESS,
    },
    "ServiceAccount": {("automountServiceAccountToken",): _ITS_ACCESS},
    "CronJob": {("spec", "suspend"): "a suspended CronJob starts no Job"},
    "Job": {("spec", "suspend"): "a suspended Job runs no pod"},
}
"""Kind -> field, without the items of lists -> why it is the stack's."""


@typed("settings", "ignored_fields.")
@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredField:
    """A field that Terraform sets only when it creates the object."""

    kind: str
    """As Kubernetes spells it: `Deployment`."""
    name: str
    """The object's name; of a name that ends in a hash, what stands before it."""
    path: str
    """As `ops drift` prints it: `spec.template.spec.containers[0].imagePullPolicy`,
    `metadata.annotations[example.com/owner]`. An item of a list is named by its `name` or its
    position; without one, the whole list is ignored."""
    reason: str
    """Who writes it and why, which drift prints."""

    def __post_init__(self) -> None:
        require_setting(
            self.kind in _KINDS,
            "ignored_fields.kind",
            self.kind,
            f"one of {', '.join(sorted(_KINDS))}",
        )
        for name in ("name", "path", "reason"):
            value = getattr(self, name)
            require_setting(
                value.strip() and value.isprintable(),
                f"ignored_fields.{name}",
                value,
                "a text of one line",
            )
        require_setting(
            "".join(part.group() for part in _PART.finditer(self.path)) == self.path
            and not self.path.startswith("["),
            "ignored_fields.path",
            self.path,
            "a path such as spec.template.spec.containers[0].imagePullPolicy",
        )
        owned = owned_because(self.kind, self.parts)
        require_setting(
            owned is None,
            "ignored_fields.path",
            self.path,
            f"a field that the stack can leave to others, because {owned}",
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """The keys from the root; an item of a list is `[name]` or `[0]`."""
        parts: list[str] = []
        for match in _PART.finditer(self.path):
            key, item = match.groups()
            is_free = bool(parts) and parts[-1] in FREE_MAPS
            parts.append(key or (item if is_free else f"[{item}]"))
        return tuple(parts)

    def is_of(self, kind: str, name: str) -> bool:
        """Whether it is a field of this object."""
        return self.kind == kind and self.name in (name, _HASH.sub("", name))


def owned_because(kind: str, parts: Sequence[str]) -> str | None:
    """Return why a field, or one above or below it, is the stack's; None if it is not.

    Args:
        kind: The object's kind.
        parts: The keys from the root; items of lists do not matter.
    """
    owned = _OF_EVERY | _OWNED.get(kind, {})
    template = _TEMPLATES.get(kind)
    if template is not None:
        owned |= {(*template, "spec", *path): why for path, why in _POD.items()}
    keys = [part for part in parts if not part.startswith("[")]
    for path, why in owned.items():
        if all(ours == theirs for ours, theirs in zip(keys, path, strict=False)):
            return why
    return None


def set_once(claims: Iterable[str]) -> tuple[IgnoredField, ...]:
    """Return the fields that Terraform sets once in every cluster.

    Args:
        claims: The names of the stack's claims.
    """
    return (
        IgnoredField(
            kind="Deployment",
            name=ENDPOINT,
            path="spec.replicas",
            reason="a GPU window or a tenant's operator scales it",
        ),
        *(
            IgnoredField(
                kind="PersistentVolumeClaim",
                name=claim,
                path="spec.resources.requests",
                # The API server does not resize the claim of a static volume, and a new claim
                # would leave the volume Released.
                reason="a claim keeps its first size, and the volume has the capacity",
            )
            for claim in claims
        ),
    )


def require_distinct(fields: Iterable[IgnoredField]) -> None:
    """Refuse a field that is ignored twice.

    Raises:
        ConfigError: naming it.
    """
    seen: dict[tuple[str, str, tuple[str, ...]], IgnoredField] = {}
    for field in fields:
        first = seen.setdefault((field.kind, field.name, field.parts), field)
        require_setting(
            first is field,
            "ignored_fields.path",
            field.path,
            f"a field of {field.kind} {field.name} that is not ignored already ({first.reason})",
        )
