"""Examine this machine."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass

import psutil

from ops.commands.doctor import built, programs
from ops.commands.doctor.finding import JOBS, Finding, Job
from ops.machine.build_cache import cache_dir

_KNOWN = {
    ("Linux", "x86_64"): "known to work",
    ("Linux", "aarch64"): "not tried; every locked package has a wheel for it",
}
"""What is known of a system and its processor, as Python's `platform` spells them."""
_UNKNOWN = "does not work: the download program reads Linux's /proc. Use a Linux machine or VM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What this machine has, and what would work on it."""

    findings: tuple[Finding, ...]
    machine: str
    platform: str

    @property
    def errors(self) -> tuple[str, ...]:
        """One line for each program for want of which a job does not work."""
        return tuple(finding.error for finding in self.findings if any(map(finding.blocks, JOBS)))

    def blocking(self, job: Job) -> tuple[Finding, ...]:
        """The programs for want of which a job does not work."""
        return tuple(finding for finding in self.findings if finding.blocks(job))


def examine() -> Examination:
    """Look for every program."""
    return Examination(
        findings=(
            *programs.necessary(),
            *built.for_a_deploy(),
            *built.for_this_machine(),
            programs.cdktf(),
            *programs.optional(),
        ),
        machine=_machine(),
        platform=platform_line(),
    )


def platform_line() -> str:
    """Return this machine's platform, and what is known of it."""
    system = (platform.system(), platform.machine())
    return f"{' '.join(system)} {_KNOWN.get(system, _UNKNOWN)}"


def _machine() -> str:
    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB of memory, {free_gib:.0f} GiB free in "
        f"{existing}"
    )
