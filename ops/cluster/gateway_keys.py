"""The Secret of the gateway's keys."""

from __future__ import annotations

import base64
import binascii

from in_pod.gateway.contract import KEYS_ANNOTATION
from llama_swap_config.gateway.settings import ExistingGateway, Gateway
from ops.cluster.api import Document
from ops.cluster.own_secret import SecretPlace
from ops.endpoint.consumer_keys import Entries, digest
from ops.errors import OpsError


def keys_place(
    gateway: Gateway | ExistingGateway | None, *, endpoint_namespace: str
) -> SecretPlace:
    """Return where the keys of a gateway are.

    Args:
        gateway: The settings' gateway.
        endpoint_namespace: The namespace of the endpoint, and of a gateway that the stack deploys.

    Raises:
        OpsError: when the settings have no gateway.
    """
    if gateway is None:
        raise OpsError(
            "gateway is None in stacks/production.py; expected ExistingGateway(...) or "
            "Gateway(...), whose consumers have keys. Declare one as docs/gateway.md says"
        )
    return SecretPlace(
        namespace=(
            gateway.namespace if isinstance(gateway, ExistingGateway) else endpoint_namespace
        ),
        name=gateway.keys_secret,
    )


def entries_of(secret: Document | None) -> dict[str, str]:
    """Decode a Secret's data; None: it does not exist."""
    return {name: _text(value) for name, value in _data(secret).items()}


def changed_by_hand(secret: Document | None) -> bool:
    """Whether the entries are others than a command wrote; None: the Secret does not exist."""
    if secret is None:
        return False
    entries = entries_of(secret)
    stamp = (secret["metadata"].get("annotations") or {}).get(KEYS_ANNOTATION)
    return stamp != digest(entries) if stamp or entries else False


def with_entries(secret: Document, entries: Entries, *, stamp: bool) -> Document:
    """Return a Secret with other entries.

    Args:
        secret: The Secret.
        entries: Its entries.
        stamp: Whether to record that all of them are a command's.
    """
    before, metadata = entries_of(secret), dict(secret["metadata"])
    if stamp:
        annotations = metadata.get("annotations") or {}
        metadata["annotations"] = {**annotations, KEYS_ANNOTATION: digest(entries)}
    data = {
        # What is not text stays as it is.
        name: _data(secret)[name] if before.get(name) == entry else encoded(entry)
        for name, entry in entries.items()
    }
    return {**secret, "metadata": metadata, "data": data}


def encoded(text: str) -> str:
    """Encode a value of a Secret."""
    return base64.b64encode(text.encode()).decode()


def _data(secret: Document | None) -> dict[str, str]:
    return (secret or {}).get("data") or {}


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return "\ufffd"
