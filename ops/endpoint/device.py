"""Read from a model's log on which device it runs, and by which build of llama.cpp.

No answer of llama-server names the device, and llama-swap reports no build.

Only the line of its weights' buffers tells: "offloaded 37/37 layers to GPU" is also printed where
there is no GPU.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from llama_swap_config.flags import spelling
from llama_swap_config.front_ends.front_end import FrontEnd, Started
from llama_swap_config.front_ends.server_command import ServerSettings, devices
from ops.endpoint.client import Endpoint
from ops.endpoint.errors import CheckError
from ops.errors import OpsError

_PREFIX = r"^(?:[\d.]+ )?(?:[A-Z] )?"
"""Time and level, which `--no-log-prefix` omits."""
_LOAD = re.compile(rf"{_PREFIX}srv +load_model: loading model ", re.MULTILINE)
"""The start of a load, at any verbosity."""
_BUFFER = re.compile(
    rf"{_PREFIX}load_tensors: +([A-Za-z]\w*)(?:\[[^]]*\])? model buffer size =", re.MULTILINE
)
_HOST = re.compile(r"CPU.*|.*_Host")
"""Buffers in the host's memory, which some weights also use where a GPU runs the model."""
_PROJECTOR = re.compile(
    rf"{_PREFIX}clip_ctx: CLIP using ([A-Za-z]\w*)(?:\[[^]]*\])? backend", re.MULTILINE
)
_BUILD = re.compile(
    rf"{_PREFIX}(?:cmn +common_param: )?common_params_print_info: build (\d+) \(", re.MULTILINE
)
_ON_CPU = "CPU"
_MISSING = re.compile(
    r'^error while handling argument "--device": invalid device: (\w+)', re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The devices of a running model, and the build that runs it."""

    names: frozenset[str] | None
    """Those of its weights and its projector, `CPU` among them; None: not known."""
    reason: str = ""
    """Why they are not known."""
    build: int | None = None
    """The build of llama.cpp; None: not known, as with a program built without a number."""

    def __str__(self) -> str:
        if self.names is None:
            return f"not known ({self.reason})"
        return device_text(self.names)


def device_text(names: Collection[str]) -> str:
    """Write devices as llama-server names them."""
    return ",".join(sorted(names))


def of_model(
    endpoint: Endpoint,
    front_end: FrontEnd | None,
    model: str,
    *,
    started: Started | None,
    own_log: Callable[[], str] | None,
    timeout_s: float,
) -> Device:
    """Find the devices of a loaded model, without loading one.

    Args:
        endpoint: The endpoint.
        front_end: Its front end; None: not recognised.
        model: The model's id.
        started: Its llama-server; None: not described.
        own_log: Reads the front end's own log from the cluster; None: not reachable.
        timeout_s: Seconds for the answer.

    Raises:
        CheckError: when its llama-server did not start, because a device is missing.
    """
    if front_end is None:
        return Device(names=None, reason="the endpoint is neither front end, so it has no log")
    port = _flags(started).get("--port", "")
    try:
        if front_end.log_path is not None:
            log = endpoint.recent(front_end.log_path(model), timeout_s=timeout_s)
        elif front_end.log_of is not None and own_log is not None and port.isdigit():
            log = front_end.log_of(own_log(), int(port))
        else:
            return Device(
                names=None,
                reason=f"{front_end.title} has no address for a model's log; only without --url "
                "is the pod's log read",
            )
    except (CheckError, OpsError) as error:
        return Device(names=None, reason=f"its log cannot be read: {error}")
    return of_log(log)


def of_log(log: str) -> Device:
    """Find the devices of the latest load in a log.

    Raises:
        CheckError: when llama-server then refused a device that it does not find.
    """
    loads = [match.end() for match in _LOAD.finditer(log)]
    latest = log[loads[-1] :] if loads else log
    missing = _MISSING.search(latest)
    if missing is not None:
        raise CheckError(
            f"llama-server does not start: it finds no device {missing[1]}. Check the node's "
            "driver and gpu.runtime_class"
        )
    if not loads:
        return Device(names=None, reason="its log no longer reaches back to the load")
    build = next((int(number) for number in reversed(_BUILD.findall(log))), 0) or None
    buffers = _BUFFER.findall(latest)
    if not buffers:
        return Device(
            names=None,
            build=build,
            reason="its log does not name the device: the model still loads, or "
            "llama_swap.server.log_verbosity is below 4",
        )
    gpus = [name for name in buffers if not _HOST.fullmatch(name)]
    names = frozenset([*(gpus or [_ON_CPU]), *_PROJECTOR.findall(latest)])
    return Device(names=names, build=build)


def is_production(started: Started | None, server: ServerSettings) -> bool:
    """Whether a running llama-server is the program of the settings, and not a laptop's own."""
    words = None if started is None else started.words
    return not words or server.binary in words


def is_another_build(
    found: Device, started: Started | None, server: ServerSettings, engine_build: int
) -> bool:
    """Whether the settings' program runs, and its log names another build than the declared."""
    if started is None or not is_production(started, server):
        return False
    return found.build not in (None, engine_build)


def declared(started: Started | None, server: ServerSettings) -> frozenset[str] | None:
    """Return the devices that a running model must use; None where it may choose.

    Args:
        started: Its llama-server. Another program than the settings', as on a laptop, has to obey
            its own command line.
        server: The settings of its llama-server.
    """
    if is_production(started, server):
        wanted = server.devices
    else:
        given = _flags(started)
        wanted = devices(given.get("--device"), given.get("-ngl", ""))
    words = () if started is None else started.words or ()
    if wanted is not None and "--no-mmproj-offload" in words:
        return wanted | {_ON_CPU}
    return wanted


def evidence(started: Started | None) -> str:
    """Return what a command line says of the device, for a reason why it is not known."""
    device = _flags(started).get("--device")
    if device in (None, "none"):
        return ""
    return f"; it was started with --device {device}, and llama-server ends where that is missing"


def _flags(started: Started | None) -> dict[str, str]:
    words = () if started is None else started.words or ()
    return {spelling(flag): value for flag, value in itertools.pairwise(words)}
