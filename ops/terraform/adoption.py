"""Record objects that exist in the cluster and that the state lacks, by import blocks.

An apply that is killed has made objects that its state does not have; so has `kubectl apply`. An
endpoint of hand-written HCL has them in the state at addresses of its own.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops.machine.private_file import write_private
from ops.terraform.changes import ResourceChange

FILE = "adopt.tf.json"
"""Terraform reads it beside the synthesized file while it plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Objects that a plan would create, although they exist."""

    changes: tuple[ResourceChange, ...]
    """What the plan would do at their addresses: create, or replace an object of another name."""
    vanished: frozenset[str] = frozenset()
    """The addresses that the state has, and whose objects no longer exist."""
    recorded: Mapping[str, str] = field(default_factory=dict)
    """Addresses of `changes` whose very object the state has at another one -> that one. An import
    there would be followed by the deletion of the same object."""
    forgotten: tuple[ResourceChange, ...] = ()
    """Entries of somebody else, which the state loses; their objects stay."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to import, to move or to forget."""
        return not self.changes and not self.forgotten

    @property
    def to_forget(self) -> tuple[ResourceChange, ...]:
        """Those of `forgotten` that the stack's own removed blocks do not name."""
        return tuple(change for change in self.forgotten if change.action == "delete")

    @property
    def imports(self) -> tuple[ResourceChange, ...]:
        """Those that the state has at no address."""
        return tuple(change for change in self.changes if change.address not in self.recorded)

    @property
    def moves(self) -> dict[str, str]:
        """The addresses that the state has already -> where their entries go.

        Terraform ignores an import block for an address that its state has. From the new address,
        which nothing declares, it removes the object if that still exists.
        """
        return {
            change.address: _aside(change)
            for change in self.changes
            if change.action == "replace" or change.address in self.vanished
        } | {old: new for new, old in self.recorded.items()}

    def predict(self, planned: Sequence[ResourceChange]) -> tuple[ResourceChange, ...]:
        """Return a plan with the imports that need a move, for a reader who may not move.

        Args:
            planned: The plan with import blocks for all other objects.
        """
        moves = self.moves
        predicted = []
        for change in planned:
            if change.address in self.recorded.values():
                continue
            if change.address in self.recorded:
                # Its entry comes from the other address; a field that differs is not known here.
                predicted.append(replace(change, action="no-op"))
                continue
            if change.address not in moves:
                predicted.append(change)
                continue
            imported = replace(change, action="import", before=change.after, replace_paths=())
            predicted.append(imported)
            if change.action == "replace":
                old = str(change.metadata_before.get("name", change.name))
                aside = moves[change.address]
                predicted.append(
                    replace(change, address=aside, name=old, action="delete", after={})
                )
        return tuple(predicted)


@contextmanager
def adoption_blocks(
    directory: Path,
    imports: Sequence[ResourceChange] = (),
    forgotten: Sequence[ResourceChange] = (),
) -> Iterator[None]:
    """Write a block for each object into a file beside the stack, within the context.

    Args:
        directory: The stack's directory.
        imports: The objects to import: what a plan without these blocks does at their addresses
            (default: none).
        forgotten: The entries that the state is to lose while their objects stay (default: none).
    """
    path = directory / FILE
    blocks = {
        "import": [{"to": change.address, "id": _id(change)} for change in imports],
        "removed": [
            {"from": address, "lifecycle": {"destroy": False}}
            for address in dict.fromkeys(_without_index(change.address) for change in forgotten)
        ],
    }
    try:
        if any(blocks.values()):
            written = {name: each for name, each in blocks.items() if each}
            write_private(path, json.dumps(written, indent=2))
        yield
    finally:
        path.unlink(missing_ok=True)


def _id(change: ResourceChange) -> str:
    """How the provider names an object in an import: `llama-cpp/llama-swap`."""
    return f"{change.namespace}/{change.name}" if change.namespace else change.name


def _without_index(address: str) -> str:
    """An address as a removed block takes it: all instances of `count` or `for_each`."""
    return re.sub(r"\[(?:\d+|\"(?:[^\"\\]|\\.)*\")\]", "", address)


def _aside(change: ResourceChange) -> str:
    """An address like cdktf's own, so that a later deploy takes the object for ours."""
    digest = zlib.crc32(f"{change.address} {_id(change)}".encode())
    return f"{change.type}.replaced_{digest:08X}"
