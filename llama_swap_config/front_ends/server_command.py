"""The options of a llama-server: those that all models share, and those of one model.

llama-swap writes them as a command line, llama-server's router as an INI.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from in_pod.download.contract import LINK_NAMES
from llama_swap_config.errors import require_setting
from llama_swap_config.flags import BY_NAME, FLAGS
from llama_swap_config.lock.locked import LockedModel
from llama_swap_config.model import Model
from llama_swap_config.typed import typed

Option = tuple[str, str | None]
"""A flag of `llama-server --help` and its value; None for a switch."""

ENVIRONMENT = {"LLAMA_MEDIA_MARKER": "<__media__>"}
"""Environment of every llama-server. Without it each server chooses a random marker, and a
/completion with an image needs a request to /props first."""


DEVICE = "CUDA0"
"""The first card, as llama-server names it."""
_DEVICES = re.compile(r"none|[A-Z]\w*(,[A-Z]\w*)*", re.ASCII)


@typed("settings", "llama_swap.server.")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of every llama-server, whatever its model."""

    binary: str = "/app/llama-server"
    """Path of the program in a container image of the legacy layout."""
    models_dir: str = "/models"
    """Mount path of the volume."""
    gpu_layers: int = 99
    """Layers on the GPU (`-ngl`); 99 is above any of these models: all layers."""
    device: str | None = DEVICE
    """Devices of every model, joined by commas, as `llama-server --list-devices` names them, or
    `none` for the CPU. llama-server ends at once if one is missing. None: it takes the GPUs that
    it finds and serves from the CPU where it finds none. Not with `gpu.count`, where `cards` of
    each model says it."""
    log_verbosity: int = 4
    """Verbosity of its log (`--verbosity`); at 4 or more it names the device at each load."""
    cache_ram_mib: int = 512
    """Host memory for cached prompts (`--cache-ram`); llama-server's own default is 8192."""
    threads_http: int = 16
    """HTTP threads. An idle keep-alive connection holds a thread for 5 s, and llama-server's
    default of 5 threads stalls half of ten parallel requests for that long (measured)."""

    @property
    def devices(self) -> frozenset[str] | None:
        """Devices of every model, such as `CUDA0` or `CPU`; None: llama-server chooses."""
        return devices(self.device, str(self.gpu_layers))

    def __post_init__(self) -> None:
        for name, least in (("gpu_layers", 0), ("threads_http", 1)):
            value = getattr(self, name)
            require_setting(
                value >= least, f"llama_swap.server.{name}", value, f"at least {least}"
            )
        require_setting(
            self.cache_ram_mib >= 0,
            "llama_swap.server.cache_ram_mib",
            self.cache_ram_mib,
            "a whole number of at least 0 (llama-server reads -1 as no limit)",
        )
        require_setting(
            self.device is None
            or (
                _DEVICES.fullmatch(self.device)
                and len(set(self.device.split(","))) == len(self.device.split(","))
            ),
            "llama_swap.server.device",
            self.device,
            "a device such as 'CUDA0', several joined by commas, only 'none' for the CPU, or None",
        )
        require_setting(
            0 <= self.log_verbosity <= 5,
            "llama_swap.server.log_verbosity",
            self.log_verbosity,
            "0 to 5",
        )


def devices(device: str | None, gpu_layers: str) -> frozenset[str] | None:
    """Return the devices of `--device` and `-ngl`, such as `CUDA0` or `CPU`; None: it may choose.

    Without layers on a GPU the projector still goes there.
    """
    if device == "none":
        return frozenset({"CPU"})
    return None if device is None or gpu_layers == "0" else frozenset(device.split(","))


def own_device(model: Model, settings: ServerSettings, *, isolated: bool) -> str | None:
    """Return the value of `--device` for a model; None: llama-server may choose.

    Other devices than the default, as on a laptop, are those of every model.

    Args:
        model: The model.
        settings: Settings of every llama-server.
        isolated: Whether its llama-server sees no card but its own, which it counts from 0.
    """
    if settings.device != DEVICE or model.cards == (0,):
        return settings.device
    cards = range(len(model.cards)) if isolated else model.cards
    return ",".join(f"CUDA{card}" for card in cards)


def of_model(settings: ServerSettings, model: Model, *, isolated: bool) -> ServerSettings:
    """Return the settings of one model's llama-server; args as in `own_device`."""
    return replace(settings, device=own_device(model, settings, isolated=isolated))


def own_devices(
    models: Collection[Model], settings: ServerSettings, *, isolated: bool
) -> tuple[ServerSettings, Mapping[str, str]]:
    """Move `--device` from what all models share to each, if they are on different cards.

    Args:
        models: The registry.
        settings: Settings of every llama-server.
        isolated: As in `own_device`.

    Returns:
        The settings that all models share, and model id -> its device; empty where all share it.
    """
    if settings.device != DEVICE or all(model.cards == (0,) for model in models):
        return settings, {}
    return replace(settings, device=None), {
        model.id: own_device(model, settings, isolated=isolated) or DEVICE for model in models
    }


def shared_options(settings: ServerSettings) -> tuple[Option, ...]:
    """List the options that all models share."""
    options: list[Option] = []
    for flag in FLAGS:
        if flag.setting:
            value = getattr(settings, flag.setting)
            if value is not None:
                options.append((flag.names[0], str(value)))
        elif flag.always is not None:
            options.append((flag.names[0], flag.always or None))
    return tuple(options)


def model_options(
    model: Model, *, weights: str, folder: str, alias: str | None, device: str | None = None
) -> tuple[Option, ...]:
    """List the options that one model adds to the shared ones.

    Args:
        model: The model.
        weights: Name of its weights' file, or of the first part: llama-server finds the others.
        folder: Prefix of its files' names; empty where llama-server starts in their folder.
        alias: The value of `--alias`; None to omit it.
        device: The value of `--device` (default: the shared options have it).
    """
    computed = {
        "id": folder + weights,
        "projector": None if model.projector is None else folder + LINK_NAMES["mmproj"],
        "aliases": alias,
        "cards": device,
        "tensor_split": ",".join(map(str, model.shares)) or None,
    }
    options: list[Option] = []
    for flag in FLAGS:
        if flag.split is not None and model.shares:
            options.append((flag.names[0], flag.split))
        elif flag.field:
            field = flag.field
            value = computed[field] if field in computed else attrgetter(field)(model)
            if value is not None:
                options.append((flag.names[0], str(value)))
    words = iter(model.extra_args)
    options += [(word, next(words) if BY_NAME[word].takes_value else None) for word in words]
    return tuple(options)


def program(settings: ServerSettings) -> tuple[str, ...]:
    """Return the words before the arguments: llama-server, started in its model's folder.

    The folder is a link that moves once all files of a new version are complete. A process keeps
    the folder in which it started, so weights and projector are of one version even though it
    opens them minutes apart.
    """
    return ("env", "-C", "${models_dir}/${MODEL_ID}", shlex.quote(settings.binary))


def shared_args(settings: ServerSettings) -> tuple[str, ...]:
    """List the arguments that all models share, with llama-swap's macros where they vary.

    The servers listen on loopback only: a reachable port would bypass llama-swap's API keys.
    """
    listen: tuple[Option, ...] = (("--host", "127.0.0.1"), ("--port", "${PORT}"))
    return _words((*listen, *shared_options(settings)))


def model_args(locked: LockedModel, *, device: str | None = None) -> tuple[str, ...]:
    """List the arguments that one model adds to the shared ones; `device` as `model_options`."""
    return _words(
        model_options(
            locked.model,
            weights=locked.weights_link,
            folder="",
            alias="${MODEL_ID}",
            device=device,
        )
    )


def _words(options: Iterable[Option]) -> tuple[str, ...]:
    words = []
    for flag, value in options:
        words.append(flag)
        if value is not None:
            # llama-swap expands macros before it splits the line; operators' values have none.
            words.append(value if "${" in value else shlex.quote(value))
    return tuple(words)
