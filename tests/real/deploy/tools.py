"""Both programs that deploy, for tests that run each."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine import opentofu
from ops.terraform.program import VARIABLE, Program, Tool, find

BOTH_TOOLS = pytest.mark.parametrize("tool", ["terraform", "tofu"], indirect=True)
"""Runs a test of the fixture `tool` with each, instead of with the one that a command finds."""


@cache
def program_of(tool: Tool) -> Program:
    """Return a program of an accepted version; build OpenTofu if PATH has none.

    Raises:
        OpsError: if this machine has no such Terraform.
    """
    if tool == "terraform" and shutil.which(tool) is None:
        raise OpsError("terraform is not on PATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, tool)
        try:
            return find(None)
        except OpsError:
            if tool == "terraform":
                raise
        patch.setenv(VARIABLE, str(opentofu.build(print)))
        return find(None)


def use(patch: pytest.MonkeyPatch, tool: Tool) -> Program:
    """Make a program the one that commands find; skip the test where there is none."""
    try:
        program = program_of(tool)
    except OpsError as error:
        pytest.skip(f"no Terraform to test with: {error}")
    patch.setenv(VARIABLE, os.fspath(program.path))
    return program


def provider_of(program: Program, directory: Path) -> Path:
    """Return the Kubernetes provider's program; skip the test where the tool cannot get it.

    Args:
        program: Installs it, from its registry or its mirror.
        directory: An empty one, where it lies afterwards.
    """
    (directory / "main.tf.json").write_text(
        '{"terraform": {"required_providers": {"kubernetes": '
        '{"source": "hashicorp/kubernetes", "version": "2.38.0"}}}}'
    )
    result = subprocess.run(
        [str(program.path), "init", "-backend=false", "-input=false", "-no-color"],
        cwd=directory,
        env=os.environ | {"CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.skip(
            f"{program.tool} finds no provider hashicorp/kubernetes 2.38.0 (registry or mirror)"
        )
    (provider,) = directory.glob(".terraform/providers/*/*/*/*/*/terraform-provider-*")
    return provider
