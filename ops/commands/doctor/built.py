"""Look for the programs that this repository builds, and what it builds them from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ops.commands.doctor import programs
from ops.commands.doctor.finding import JOBS, LOCAL_JOBS, Finding, Job
from ops.embedded import control_plane
from ops.errors import OpsError
from ops.machine import go_toolchain, litellm, llama_build, llama_server, prometheus
from ops.terraform import program
from ops.terraform.run import Terraform

_PROVIDER_TIMEOUT_S = 120


def for_a_deploy() -> Iterator[Finding]:
    """Terraform or OpenTofu, as every command finds it, and its Kubernetes provider."""
    survey = program.survey()
    yield Finding(
        name="Terraform or OpenTofu",
        found=survey.version,
        problem=survey.refusal,
        wanted=program.ACCEPTED,
        purpose="plans and applies",
        needed_for=JOBS if survey.refusal else (),
        without="The first command that needs it builds OpenTofu.",
    )
    problem = "" if survey.program is None else _provider_problem(survey.program)
    yield Finding(
        name="Kubernetes provider",
        found="" if survey.program is None or problem else program.PROVIDER_VERSION,
        problem=problem,
        wanted=program.PROVIDER_VERSION,
        purpose="creates the objects",
        needed_for=("deploy",) if problem else (),
        without="`make up` then applies the same objects itself; its tests are skipped."
        if problem
        else "Terraform or OpenTofu looks for it.",
    )


def _provider_problem(runnable: program.Program) -> str:
    """Let the program look for the provider; it fetches it into a folder that is then deleted."""
    source = {"source": program.PROVIDER, "version": program.PROVIDER_VERSION}
    with tempfile.TemporaryDirectory() as folder:
        required = {"terraform": {"required_providers": {"kubernetes": source}}}
        Path(folder, "main.tf.json").write_text(json.dumps(required), encoding="utf-8")
        try:
            Terraform(Path(folder), program=runnable, timeout_s=_PROVIDER_TIMEOUT_S).init()
        except OpsError as error:
            return str(error)
    return ""


def for_this_machine() -> Iterator[Finding]:
    """The servers of `make up` and `make test`, and what they are built with."""
    yield from _llama_server()
    is_built = control_plane.is_built()
    yield Finding(
        name="control plane",
        found="built" if is_built else "",
        wanted="as pinned in tools/go.mod",
        purpose="the embedded cluster",
        without="The first `make up` builds it.",
    )
    yield programs.finding(
        "Go",
        ("go", "version"),
        wanted="1.26 or later",
        accepts=go_toolchain.is_new_enough,
        purpose="builds the control plane and OpenTofu",
        without="A build gets it from PyPI.",
    )
    yield Finding(
        name="LiteLLM",
        found=litellm.litellm_version() if litellm.is_installed() else "",
        wanted=litellm.litellm_version(),
        purpose="the gateway of `make up GATEWAY=1`",
        without=f"The first `make up GATEWAY=1` installs it, which takes {litellm.SIZE_MB} MB.",
    )
    yield Finding(
        name="Prometheus",
        found="on PATH or built" if prometheus.is_at_hand() else "",
        wanted="any with promtool, or as pinned in tools/prometheus",
        purpose="judges by the alerts of `make up MONITORING=1`",
        without="The first `make up MONITORING=1` builds it.",
    )


def _llama_server() -> Iterator[Finding]:
    is_built = llama_build.is_built()
    problem = ""
    try:
        named = llama_server.named()
    except OpsError as error:
        named, problem = None, str(error)
    if named is None:
        yield Finding(
            name="llama-server",
            found=f"b{llama_build.BUILD}, built" if is_built else "",
            problem=problem,
            wanted=f"b{llama_build.BUILD}, or yours",
            purpose="serves the models on this machine",
            needed_for=LOCAL_JOBS if problem else (),
            without="The first `make up` builds it.",
        )
    else:
        yield programs.finding(
            "llama-server",
            (str(named), "--version"),
            wanted="any",
            purpose="serves the models on this machine",
            needed_for=LOCAL_JOBS,
            without=f"Take it off PATH or unset {llama_server.VARIABLE}, so that it is built.",
        )
    # The tests build one, because a GPU is played through RPC, which few others support.
    unbuilt: tuple[Job, ...] = LOCAL_JOBS if named is None else ("make test",)
    yield programs.compiler(() if is_built else unbuilt)
