"""Read base and head, and compare them."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ops.commands.plan.as_json import as_json
from ops.commands.plan.comparison import Comparison, Refreshed, compare
from ops.commands.plan.refresh import check_environment, disagreements, real_verdict
from ops.commands.plan.revision import find_base, unpack
from ops.commands.plan.side import read_side
from ops.errors import OpsError, writing
from ops.report.document import Document, Value
from ops.report.markdown import as_comment, as_markdown
from ops.report.safe_text import redacted_line
from ops.report.terminal import Say
from ops.terraform.synth import STACK


def plan(root: Path, *, base: str | None, rate_mb_s: float, refresh: bool, say: Say) -> Comparison:
    """Compare a revision with the working tree.

    Args:
        root: The working tree.
        base: A revision (default: the merge base with main).
        rate_mb_s: Download rate in MB/s.
        refresh: Whether to run Terraform's own plan too, with the environment's state and cluster.
        say: Receives a line for the operator.

    Raises:
        OpsError: if there is no base, or Terraform cannot plan.
    """
    access = check_environment(say) if refresh else None
    revision = find_base(root, base)
    with tempfile.TemporaryDirectory(prefix="plan-") as directory:
        work = Path(directory)
        tree = work / "base"
        tree.mkdir()
        unpack(root, revision, tree)
        with ThreadPoolExecutor() as threads:
            old = threads.submit(read_side, tree, work / "base.out")
            new = threads.submit(read_side, root, work / "head.out")
            before, after = old.result(), new.result()
        comparison = compare(before, after, revision=revision, rate_mb_s=rate_mb_s)
        if access is None or after.synthesized is None:
            return comparison
        verdict = real_verdict(after.synthesized, access, say=say)
    differing = tuple(disagreements(comparison.objects, verdict.changes))
    return replace(comparison, refreshed=Refreshed(verdict=verdict, disagreements=differing))


def write_report(directory: Path, comparison: Comparison, document: Document) -> None:
    """Write plan.md, comment.md, which is short enough for a comment, and plan.json.

    Raises:
        OpsError: if a file cannot be written.
    """
    texts = _texts(document) | {"plan.json": json.dumps(as_json(comparison), indent=2) + "\n"}
    _write(directory, texts)


def write_failure(directory: Path, error: OpsError) -> None:
    """Write a plan.md and a comment.md that say why the plan is missing.

    Without them a pull request's comment would keep the plan of an older commit.

    Raises:
        OpsError: if a file cannot be written.
    """
    document = Document(
        title=f"Plan for {STACK}: there is none",
        sentence=("The plan failed: ", Value(redacted_line(str(error)))),
        note=(),
        sections=(),
        tone="bad",
    )
    _write(directory, _texts(document))
    with writing(directory):
        (directory / "plan.json").unlink(missing_ok=True)  # An older plan's.


def _texts(document: Document) -> dict[str, str]:
    return {"plan.md": as_markdown(document), "comment.md": as_comment(document)}


def _write(directory: Path, texts: dict[str, str]) -> None:
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
