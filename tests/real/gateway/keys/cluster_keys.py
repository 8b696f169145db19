"""The keys' Secret in the embedded cluster, and the command that changes it."""

from __future__ import annotations

import hashlib

import pytest

from ops.cli import main
from ops.cluster.api import Document, KubeApi
from ops.cluster.own_secret import SecretPlace

PLACE = SecretPlace(namespace="litellm", name="gateway-keys")
SECRETS = "/api/v1/namespaces/litellm/secrets"
PATH = f"{SECRETS}/{PLACE.name}"


class Keys:
    """`ops gateway keys`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Return stdout and stderr."""
        assert main(["gateway", "keys", *words]) == code
        printed = self._capsys.readouterr()
        return printed.out.strip(), printed.err


def edit(api: KubeApi, body: Document) -> None:
    """Change the Secret by hand."""
    status, answer = api.request("PATCH", f"{PATH}?fieldManager=kubectl-edit", body)
    assert status == 200, answer


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
