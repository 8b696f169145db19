"""Run LiteLLM with the gateway's hooks on this machine, as the pod does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from in_pod.gateway.contract import (
    CONFIG_FILE,
    ENDPOINT_KEY_VARIABLE,
    KEYS_VARIABLE,
    PACKAGE,
    POLICY_FILE,
    POLICY_VARIABLE,
)
from llama_swap_config.gateway.litellm import ENVIRONMENT
from ops.machine.checkout import ROOT
from ops.machine.litellm import litellm
from ops.machine.ports import usable_port
from ops.machine.processes import Processes
from ops.report.terminal import Say

_NAME = "gateway"
_READY_TIMEOUT_S = 120
"""The first start after an installation compiles LiteLLM's bytecode."""
_STOP_TIMEOUT_S = 30
_NO_KEY = "none"
"""LiteLLM insists on a key for the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningGateway:
    """A gateway on this machine."""

    url: str
    """`http://127.0.0.1:PORT`."""
    pid: int
    log: Path


def start(
    state_dir: Path,
    *,
    config: str,
    policy: str,
    keys_dir: Path,
    endpoint_key: str = "",
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    say: Say,
) -> RunningGateway:
    """Start a gateway, in place of one that runs from the same directory.

    Args:
        state_dir: The directory of configuration, log and record.
        config: LiteLLM's config.yaml.
        policy: The policy for the hooks.
        keys_dir: A file of key sums for each consumer, which the hooks read again when it changes.
        endpoint_key: The endpoint's own key (default: it has none).
        port: The port on 127.0.0.1 (default: a free port).
        env: Further environment variables (default: none).
        say: Receives a line for the operator.

    Raises:
        OpsError: when LiteLLM cannot be installed or does not start; nothing is left running.
    """
    program = litellm(say)
    stop(state_dir)
    folder = state_dir / _NAME
    hooks = folder / "hooks"
    hooks.mkdir(parents=True, exist_ok=True)
    # Under the name by which LiteLLM imports the package, and not beside its configuration.
    (hooks / PACKAGE).unlink(missing_ok=True)
    (hooks / PACKAGE).symlink_to(ROOT / "in_pod" / "gateway")
    (folder / CONFIG_FILE).write_text(config, encoding="utf-8")
    (folder / POLICY_FILE).write_text(policy, encoding="utf-8")
    listen_port = usable_port(port)
    processes = Processes(folder)
    processes.start(
        _NAME,
        (
            *(str(program), "--config", str(folder / CONFIG_FILE)),
            *("--host", "127.0.0.1", "--port", str(listen_port)),
        ),
        env={
            # Not this process's own: LiteLLM obeys a hundred variables.
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(hooks),
            POLICY_VARIABLE: str(folder / POLICY_FILE),
            KEYS_VARIABLE: str(keys_dir),
            ENDPOINT_KEY_VARIABLE: endpoint_key or _NO_KEY,
            **ENVIRONMENT,
            **(env or {}),
        },
    )
    running = RunningGateway(
        url=f"http://127.0.0.1:{listen_port}",
        pid=processes.pid(_NAME),
        log=processes.log(_NAME),
    )
    try:
        processes.wait_for_answer(
            _NAME,
            f"{running.url}/health/liveliness",
            timeout_s=_READY_TIMEOUT_S,
            shown_as="LiteLLM",
        )
    except BaseException:
        stop(state_dir)
        raise
    return running


def is_running(state_dir: Path) -> bool:
    """Whether the gateway of this directory runs."""
    return Processes(state_dir / _NAME).is_running(_NAME)


def stop(state_dir: Path) -> bool:
    """Stop the gateway of this directory.

    Returns:
        Whether it was running.
    """
    return Processes(state_dir / _NAME).stop(_NAME, timeout_s=_STOP_TIMEOUT_S)
