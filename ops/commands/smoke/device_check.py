"""The check on which device a model runs, by the declared build of llama.cpp."""

from __future__ import annotations

from collections.abc import Callable

from llama_swap_config.front_ends.front_end import FrontEnd
from llama_swap_config.front_ends.server_command import ServerSettings
from ops.endpoint import device as devices
from ops.endpoint import residents
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError

NAME = "device"


class NotKnownError(Exception):
    """The endpoint does not say it; the text says why, in one line."""


def device(
    endpoint: Endpoint,
    front_end: FrontEnd | None,
    model: str,
    server: ServerSettings,
    *,
    engine_build: int,
    own_log: Callable[[], str] | None,
    timeout_s: float,
) -> str:
    """A loaded model must run on the declared device, by the declared build.

    Args:
        endpoint: The endpoint.
        front_end: Its front end; None: not recognised.
        model: The model's id.
        server: The settings of its llama-server.
        engine_build: The build of llama.cpp. Another program than the settings', as on a laptop,
            may have another.
        own_log: Reads the front end's own log from the cluster; None: not reachable.
        timeout_s: Seconds for one answer.

    Returns:
        The device and the build, for the report.

    Raises:
        CheckError: when it runs on another device or build, or llama-server finds no device of
            that name.
        NotKnownError: when its log does not tell.
    """
    started = residents.started(endpoint, front_end, model, timeout_s=timeout_s)
    found = devices.of_model(
        endpoint, front_end, model, started=started, own_log=own_log, timeout_s=timeout_s
    )
    if devices.is_another_build(found, started, server, engine_build):
        raise CheckError(
            f"the model runs on llama.cpp b{found.build}; expected b{engine_build}. Declare the "
            "image and its engine_build together in stacks/production.py, and deploy"
        )
    if found.names is None:
        raise NotKnownError(found.reason + devices.evidence(started))
    wanted = devices.declared(started, server)
    if wanted is not None and found.names != wanted:
        raise CheckError(
            f"the model runs on {found}; expected {devices.device_text(wanted)}. Check "
            "llama_swap.server.device, gpu.runtime_class and the node's driver"
        )
    return f"{found}, b{found.build}" if found.build else str(found)
