"""Find the program that plans and applies: Terraform or OpenTofu."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ops.errors import OpsError, one_line
from ops.machine import opentofu
from ops.report.terminal import Say

VARIABLE = "TERRAFORM_BINARY_NAME"
"""Names the program; cdktf-cli reads it too."""
Tool = Literal["terraform", "tofu"]
PRODUCTS: dict[Tool, str] = {"terraform": "Terraform", "tofu": "OpenTofu"}
REGISTRIES: dict[Tool, str] = {
    "terraform": "registry.terraform.io",
    "tofu": "registry.opentofu.org",
}
"""The host that each tool completes a provider's name with, in the state and in a mirror."""
PROVIDER, PROVIDER_VERSION = "hashicorp/kubernetes", "2.38.0"
"""The provider of the bindings in `constructs/`."""
_ACCEPTED: dict[Tool, tuple[tuple[int, int], ...]] = {
    "terraform": ((1, 11),),
    "tofu": ((1, 10), (1, 11)),
}
"""Versions known to work with provider 2.38.0.

From 1.12 on, both tools store the identity that a provider gives a resource. Where a create fails
or is interrupted after the object exists, 2.38.0 (terraform-plugin-sdk 2.37.0) gives one of nulls,
and then ends every plan with "Unexpected Identity Change" (terraform-provider-kubernetes #2779).
"""
ACCEPTED = "Terraform 1.11.x or OpenTofu 1.10.x or 1.11.x"
EXPECTED = (
    f"expected {ACCEPTED} (1.12 and later break with provider {PROVIDER} {PROVIDER_VERSION})"
)
_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of an accepted version."""

    path: Path
    tool: Tool
    version: str

    @property
    def product(self) -> str:
        """Its name in a sentence: `OpenTofu`."""
        return PRODUCTS[self.tool]

    @property
    def command(self) -> str:
        """What to type to run it: its name if PATH finds this program by it, else its path."""
        on_path = shutil.which(self.tool)
        return self.tool if on_path and Path(on_path).absolute() == self.path else str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The program that a command would run, and whether it may."""

    path: Path | None
    """None if there is none, so that OpenTofu would be built."""
    program: Program | None = None
    """None if there is none, or if it is refused."""
    version: str = ""
    """Product and version, such as `Terraform 1.5.7`; empty if it does not tell."""
    refusal: str = ""
    """Why it is refused and what to do, in one line; empty if it is not."""


def survey() -> Survey:
    """Look for the program, without building it.

    TERRAFORM_BINARY_NAME names it, else it is `terraform` on PATH, else `tofu` on PATH, else the
    OpenTofu that an earlier command built.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        path = shutil.which(named)
        if path is None:
            refusal = (
                f"{VARIABLE} is {named!r}; expected an executable program. Correct or unset it"
            )
            return Survey(path=None, refusal=refusal)
        return _checked(Path(path).absolute(), f"Name another in {VARIABLE}, or unset it")
    for tool in PRODUCTS:
        path = shutil.which(tool)
        if path is not None:
            return _checked(
                Path(path).absolute(),
                f"Name another in {VARIABLE}, or take it off PATH; without terraform and tofu, "
                "OpenTofu is built",
            )
    built = opentofu.built()
    return Survey(path=None) if built is None else _checked(built, f"Delete {built.parent}")


def find(say: Say | None) -> Program:
    """Return the program that plans and applies; build OpenTofu if there is none.

    Args:
        say: Receives a line of the build's progress; None: do not build.

    Raises:
        OpsError: if the program is refused, the build fails, or there is none and none is built.
    """
    found = survey()
    if found.path is None and not found.refusal:
        if say is None:
            raise OpsError(
                f"PATH has neither terraform nor tofu; {EXPECTED}. Install one, or let "
                "`python -m ops up` build OpenTofu"
            )
        built = opentofu.build(say)
        found = _checked(built, f"Delete {built.parent}")
    if found.program is None:
        raise OpsError(found.refusal)
    return found.program


def _checked(path: Path, remedy: str) -> Survey:
    try:
        tool, version = _version(path, path.stat().st_mtime_ns)
    except OpsError as error:
        return Survey(path=path, refusal=f"{error}; {EXPECTED}. {remedy}")
    shown = f"{PRODUCTS[tool]} {version}"
    minor = tuple(map(int, version.split(".")[:2]))
    if minor not in _ACCEPTED[tool]:
        refusal = f"{path} is {shown}; {EXPECTED}. {remedy}"
        return Survey(path=path, version=shown, refusal=refusal)
    program = Program(path=path, tool=tool, version=version)
    return Survey(path=path, program=program, version=shown)


@cache
def _version(path: Path, _modified_ns: int) -> tuple[Tool, str]:
    """Run `version -json`, once for each file.

    Raises:
        OpsError: if it does not run, or does not answer as either tool does.
    """
    command = f"{path} version -json"
    try:
        result = subprocess.run(
            [str(path), "version", "-json"],
            env=os.environ | {"CHECKPOINT_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_VERSION_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise OpsError(f"`{command}` did not end within {_VERSION_TIMEOUT_S} s") from error
    except OSError as error:
        raise OpsError(f"{path} does not start ({error.strerror or error})") from error
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise OpsError(f"`{command}` ended with {result.returncode} ({one_line(last)})")
    try:
        answer = json.loads(result.stdout)
        version = answer["terraform_version"]
        if not re.match(r"\d+\.\d+\.", version):
            raise ValueError(version)
    except (ValueError, TypeError, LookupError) as error:
        raise OpsError(
            f"`{command}` printed {one_line(result.stdout, limit=60)!r}, which is not a version"
        ) from error
    # Both call their version `terraform_version`; Terraform alone says whether it is outdated.
    return ("terraform" if "terraform_outdated" in answer else "tofu"), version
