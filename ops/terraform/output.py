"""Read what Terraform and OpenTofu print."""

from __future__ import annotations

import re

_NO_PROVIDER = (
    "could not connect to registry",
    "Failed to query available provider packages",
    "Failed to resolve provider packages",
    "Failed to install provider",
)
"""What Terraform and OpenTofu call it. Their sentences below it break at any word."""
_ENCRYPTED = ("This state file is encrypted", 'state file does not have a "version" attribute')
"""What OpenTofu and Terraform say of a state that OpenTofu has encrypted."""


def says_no_provider(output: str) -> bool:
    """Whether an init failed because no registry and no mirror has the provider."""
    return any(text in output for text in _NO_PROVIDER)


def says_encrypted(output: str) -> bool:
    """Whether the state is one that OpenTofu has encrypted, and the key is missing."""
    return any(text in output for text in _ENCRYPTED)


def protected_addresses(output: str) -> frozenset[str]:
    """Read the addresses that `prevent_destroy` guards, if nothing else made the plan fail."""
    lines = _lines(output)
    errors = {line for line in lines if line.startswith("Error:")}
    if errors != {"Error: Instance cannot be destroyed"}:
        return frozenset()
    guarded = re.findall(r"Resource (\S+) has lifecycle\.prevent_destroy set", " ".join(lines))
    return frozenset(guarded)


def first_error(output: str) -> str:
    """Return the first error of Terraform's output, in one line."""
    lines = _lines(output)
    for index, line in enumerate(lines):
        if line.startswith(("Error:", "Error refreshing state:")):
            return " ".join(lines[index : index + 3]).removeprefix("Error: ")[:400]
    return " ".join(lines[-2:])[:400] or "it ended without output"


def _lines(output: str) -> list[str]:
    lines = (line.strip(" │╷╵") for line in output.splitlines())
    return [line for line in lines if line]
