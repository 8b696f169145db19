"""Write the embedded cluster's keys and kubeconfig, which only their owner can read."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from ops.machine.private_file import write_private

CONTEXT = "embedded"
"""The name of the kubeconfig's only context."""


def write_service_account_keys(state_dir: Path) -> None:
    """Write the RSA keys that sign service-account tokens, unless they exist."""
    if (state_dir / "service-account.key").exists():
        return
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (state_dir / "service-account.pub").write_bytes(public)
    write_private(state_dir / "service-account.key", private.decode())


def write_kubeconfig(path: Path, server: str, token: str, certificate: Path) -> Path:
    """Write a kubeconfig with certificate and token, and return its path.

    Args:
        path: The file to write.
        server: The API server's address.
        token: The user's token.
        certificate: The API server's self-signed certificate, which is its own authority.
    """
    cluster = {
        "server": server,
        "certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode(),
    }
    context = {"cluster": CONTEXT, "user": CONTEXT}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "current-context": CONTEXT,
    }
    write_private(path, yaml.safe_dump(document))
    return path
