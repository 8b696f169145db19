"""What is known of one program on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Job = Literal["make up", "make test", "deploy"]
LOCAL_JOBS: tuple[Job, ...] = ("make up", "make test")
JOBS: tuple[Job, ...] = (*LOCAL_JOBS, "deploy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A program that the repository can use, and what this machine has of it."""

    name: str
    found: str
    """Its version; empty if it is missing or does not tell."""
    wanted: str
    purpose: str
    needed_for: tuple[Job, ...] = ()
    """The jobs that do not work without it; none if it is optional or comes by itself."""
    problem: str = ""
    """Why what was found is of no use, in one line; empty if it works or is missing."""
    without: str
    """Where it comes from, or what happens without it."""

    @property
    def works(self) -> bool:
        """Whether it was found and is of use."""
        return bool(self.found) and not self.problem

    def blocks(self, job: Job) -> bool:
        """Whether a job does not work because of it."""
        return job in self.needed_for and not self.works

    @property
    def error(self) -> str:
        """What is wrong and what to do, in one line."""
        return self.problem or f"{self.name} is missing; expected {self.wanted}. {self.without}"
