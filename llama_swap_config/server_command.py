"""The command line of one llama-server, split into what all models share and what one adds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from llama_swap_config.download_plan import LINK_NAMES
from llama_swap_config.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What every llama-server of the endpoint gets, whatever its model."""

    binary: str = "/app/llama-server"
    """The program, as the container image of the legacy layout holds it."""
    models_dir: str = "/models"
    """Where the volume is mounted."""
    gpu_layers: int = 99
    """Layers on the GPU (`-ngl`); 99 is more than any of these models has: all of them."""
    cache_ram_mib: int = 512
    """Host memory for cached prompts (`--cache-ram`); llama-server's own default is 8192."""
    threads_http: int = 16
    """HTTP threads. An idle keep-alive connection holds one for 5 s, and llama-server's default
    of 5 stalls half of ten parallel requests for that long (measured)."""


def program(settings: ServerSettings) -> tuple[str, ...]:
    """List the words before the arguments: llama-server, started in its model's folder.

    The folder is a link that moves when all files of a new version are there. A process keeps the
    one it started in, so weights and projector, opened minutes apart, are of one version.
    """
    return ("env", "-C", "${models_dir}/${MODEL_ID}", shlex.quote(settings.binary))


def shared_args(settings: ServerSettings) -> tuple[str, ...]:
    """List the arguments that all models share, as macros `${...}` of llama-swap where they vary.

    The flags are valid for llama.cpp b10524 (the image) and b11434 (the tests). `-fa` needs its
    value; `--load-mode none` keeps a failing NFS mount from ending the server by SIGBUS; `-fit
    off` lets nothing be re-sized silently; children listen on loopback only, because a port that
    is reachable bypasses llama-swap's keys.
    """
    return (
        "--host", "127.0.0.1", "--port", "${PORT}",
        "-ngl", str(settings.gpu_layers),
        "-fa", "on",
        "-fit", "off",
        "--load-mode", "none",
        "--cache-ram", str(settings.cache_ram_mib),
        "--threads-http", str(settings.threads_http),
        "--metrics", "--no-ui", "--offline", "--jinja",
    )  # fmt: skip


def model_args(model: Model) -> tuple[str, ...]:
    """List the arguments that one model adds to the shared ones."""
    args = ["--model", LINK_NAMES["model"]]
    if model.projector is not None:
        args += ["--mmproj", LINK_NAMES["mmproj"]]
        args += ["--image-max-tokens", str(model.image_max_tokens)]
    args += ["--alias", "${MODEL_ID}"]
    args += ["--ctx-size", str(model.context), "-np", str(model.parallel_slots)]
    args += ["-ctk", model.kv_cache_type_k, "-ctv", model.kv_cache_type_v]
    args += ["--reasoning", model.reasoning]
    for flag, value in (
        ("--temp", model.sampling.temperature),
        ("--top-p", model.sampling.top_p),
        ("--top-k", model.sampling.top_k),
        ("--min-p", model.sampling.min_p),
    ):
        if value is not None:
            args += [flag, f"{value:g}"]
    args += [shlex.quote(word) for word in model.extra_args]
    return tuple(args)
