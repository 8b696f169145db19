"""Run the CDKTF app and read its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.machine.checkout import ROOT
from ops.machine.node import node_path

STACK = "llama-cpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesized:
    """One synthesized stack."""

    directory: Path
    """Where Terraform runs; it has cdk.tf.json."""
    document: dict[str, Any]
    """The content of cdk.tf.json."""


def synthesize(root: Path = ROOT, outdir: Path | None = None) -> Synthesized:
    """Synthesize the stack.

    Args:
        root: The tree whose main.py runs (default: this one).
        outdir: Output directory (default: $CDKTF_OUTDIR, or cdktf.out in that tree).

    Raises:
        OpsError: with the app's own line, if registry, lock and settings do not match.
    """
    outdir = outdir or Path(os.environ.get("CDKTF_OUTDIR", "cdktf.out"))
    env = os.environ | {"PATH": node_path(), "CDKTF_OUTDIR": str(outdir)}
    # Without bytecode every synth compiles 1 million lines of bindings again.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(
        [sys.executable, "main.py"], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no output"]
        raise OpsError(lines[-1].removeprefix("error: "))
    directory = root / outdir / "stacks" / STACK
    document = json.loads((directory / "cdk.tf.json").read_text(encoding="utf-8"))
    return Synthesized(directory=directory, document=document)


def unguarded(synthesized: Synthesized) -> Synthesized:
    """Write the stack without `prevent_destroy`, for a cluster that has nothing to protect.

    Args:
        synthesized: A stack in a directory of its own: what is written there protects nothing.
    """
    document = json.loads(json.dumps(synthesized.document))
    for resources in document["resource"].values():
        for resource in resources.values():
            resource.get("lifecycle", {}).pop("prevent_destroy", None)
            if not resource.get("lifecycle", True):
                del resource["lifecycle"]
    path = synthesized.directory / "cdk.tf.json"
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return Synthesized(directory=synthesized.directory, document=document)
