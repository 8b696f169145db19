"""A provider that keeps running, so that Terraform does not start it for each command."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.terraform.program import REGISTRIES, Tool

VARIABLE = "TF_REATTACH_PROVIDERS"


@contextmanager
def running(program: Path, log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the provider in its own environment.

    The value is what `TF_REATTACH_PROVIDERS` has to be. Where it is set, Terraform neither
    installs nor starts the provider, and the provider does not see Terraform's environment.
    """
    with log.open("w") as written:
        process = subprocess.Popen(
            [str(program), "-debug"],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = None
        while address is None:
            line = process.stdout.readline()
            assert line, log.read_text()
            address = re.search(rf"\b{VARIABLE}='(.*)'", line)
        yield address[1]
    finally:
        process.terminate()
        process.communicate()


def address_for(address: str, tool: Tool) -> str:
    """The address as a tool looks for it: the provider names itself by Terraform's registry."""
    return address.replace(REGISTRIES["terraform"], REGISTRIES[tool])
