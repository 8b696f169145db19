"""Commands that continue a run or show more of it, spelled for the operator's shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from ops.report.ops_command import here, ops_command


def report_command(run_dir: Path, *options: str) -> str:
    """Spell the command that rewrites a run's report."""
    return ops_command(f"bench report {here(run_dir)} {shlex.join(options)}".rstrip())


def resume_command(run_dir: Path, *options: str) -> str:
    """Spell the command that resumes a run; the run has recorded its other options."""
    return ops_command(f"bench --run {here(run_dir)} {shlex.join(options)}".rstrip())
