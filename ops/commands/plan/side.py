"""One side of a plan: what a tree declares, as far as it is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.commands.plan.pools import Pools
from ops.errors import OpsError
from ops.machine.node import node_path
from ops.terraform.synth import Synthesized, synthesize

_SCRIPT = Path(__file__).with_name("facts_script.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a tree declares."""

    synthesized: Synthesized | None
    """None: it does not synthesize."""
    problem: str | None
    """The tree's own error; None: it synthesizes."""
    models: tuple[dict[str, Any], ...] | None
    """Fields and files of each model; None: unknown for this tree."""
    consumers: tuple[dict[str, Any], ...] | None
    """Fields of each consumer; None: unknown for this tree."""
    fit: dict[str, Any] | None
    """Output of the tree's `python -m ops fit --json`, of the first pool; None: unknown for this
    tree."""
    pools: Pools = ()
    """Each pool, the first one first (default: unknown)."""

    @property
    def document(self) -> dict[str, Any]:
        """The content of cdk.tf.json; empty if the tree does not synthesize."""
        return {} if self.synthesized is None else self.synthesized.document


def read_side(root: Path, outdir: Path) -> Side:
    """Synthesize a tree, and read its models and its budget.

    Args:
        root: The tree.
        outdir: Directory for its cdk.tf.json.
    """
    with ThreadPoolExecutor() as threads:
        facts = threads.submit(_facts, root)
        try:
            synthesized, problem = synthesize(root, outdir), None
        except OpsError as error:
            synthesized, problem = None, str(error)
        except (OSError, ValueError) as error:
            synthesized, problem = None, f"it wrote no cdk.tf.json ({type(error).__name__})"
        known = facts.result()
    models, consumers = known.get("models"), known.get("consumers")
    pools = tuple(known.get("pools") or ())
    return Side(
        synthesized=synthesized,
        problem=problem,
        models=None if models is None else tuple(models),
        consumers=None if consumers is None else tuple(consumers),
        fit=pools[0]["fit"] if pools else None,
        pools=pools,
    )


def _facts(root: Path) -> dict[str, Any]:
    env = os.environ | {"PATH": node_path(), "PYTHONPATH": str(root)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(
        # -P: otherwise Python would import this package's files instead of the tree's.
        [sys.executable, "-P", str(_SCRIPT)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        return {}
    return answer
