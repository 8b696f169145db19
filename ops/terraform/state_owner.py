"""Which tool wrote a state, by the registry in the addresses of its providers.

Each takes the other's state over without a word: an apply writes its own registry into it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.terraform.program import PRODUCTS, REGISTRIES, VARIABLE, Program, Tool

_UNKNOWN = (
    "the state does not tell whether Terraform or OpenTofu wrote it, because it has no provider "
    "of a registry; use one of them only"
)


class OtherToolError(OpsError):
    """The other tool wrote the state; nothing was changed."""

    def __init__(self, reason: str, move: str) -> None:
        """Say who wrote it, and how to move it.

        Args:
            reason: What is wrong, and how to keep the other tool.
            move: How to move the state in the present directory.
        """
        super().__init__(f"{reason}; {move}")
        self.reason = reason


def check_owner(state: dict[str, Any], program: Program, directory: Path) -> str:
    """Refuse a state that the other tool wrote.

    Args:
        state: What `state pull` printed; empty if there is none.
        program: The tool that is about to use it.
        directory: Where it runs.

    Returns:
        A line for the operator if the state has resources and does not tell; else nothing.

    Raises:
        OtherToolError: with the command that moves the state.
    """
    resources = state.get("resources", ())
    addresses = {
        address
        for resource in resources
        for address in re.findall(r'provider\["([^"]+)"\]', resource.get("provider", ""))
    }
    other: Tool = "terraform" if program.tool == "tofu" else "tofu"
    theirs = sorted(address for address in addresses if _host(address) == REGISTRIES[other])
    if theirs:
        moves = " and ".join(
            f"`{program.command} state replace-provider {address} "
            f"{REGISTRIES[program.tool]}/{address.partition('/')[2]}`"
            for address in theirs
        )
        raise OtherToolError(
            f"{PRODUCTS[other]} wrote this state (it has {theirs[0]}), and this is "
            f"{program.product}; nothing was changed. To keep {PRODUCTS[other]}, name it in "
            f"{VARIABLE}",
            f"to move the state for good, run {moves} in {directory}",
        )
    told = any(_host(address) == REGISTRIES[program.tool] for address in addresses)
    return _UNKNOWN if resources and not told else ""


def _host(address: str) -> str:
    return address.partition("/")[0]
