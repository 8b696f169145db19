"""The llama-server flags that an operator may add to a model, and those that he may not.

The names are those of `llama-server --help` of both builds that this repository uses: b10524 in
the container image and b11434 in the tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from llama_swap_config.errors import ConfigError

_RENDERED = "this repository renders it from a field of the registry or the settings"
_UNSAFE = "it opens files, tools or the network to whoever may ask a question"
_REMOVED = "it was removed from llama-server (builds after b10884)"
_DOWNLOADS = "files come from the lock, never from the server"

RESERVED: dict[str, str] = {
    **dict.fromkeys(
        (
            "-m", "--model", "-mm", "--mmproj", "--host", "--port", "-c", "--ctx-size",
            "-np", "--parallel", "-fa", "--flash-attn", "--load-mode", "--image-max-tokens",
            "--image-min-tokens", "--threads-http", "-cram", "--cache-ram", "-fit", "--fit",
            "--metrics", "--slots", "--no-slots", "--no-ui", "--ui", "--no-webui", "--webui",
            "-a", "--alias", "-ngl", "--gpu-layers", "--n-gpu-layers", "--offline",
            "-ctk", "--cache-type-k", "-ctv", "--cache-type-v", "--temp", "--temperature",
            "--top-p", "--top-k", "--min-p", "-rea", "--reasoning", "--jinja", "--no-jinja",
        ),
        _RENDERED,
    ),
    **dict.fromkeys(
        ("--api-key", "--api-key-file"), "keys come from a Secret, never from an argument"
    ),
    **dict.fromkeys(
        ("--media-path", "--path", "--tools", "--agent", "--ssl-key-file", "--ssl-cert-file",
         "--models-dir", "--models-preset", "--rpc", "--props", "--slot-save-path",
         "--log-file"),
        _UNSAFE,
    ),
    **dict.fromkeys(("--mlock", "--mmap", "--no-mmap", "-dio", "--direct-io"), _REMOVED),
    **dict.fromkeys(
        ("-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token", "-mu",
         "--model-url", "-mmu", "--mmproj-url", "--mmproj-auto", "--no-mmproj"),
        _DOWNLOADS,
    ),
}  # fmt: skip
"""Flag -> why the registry does not take it."""

TAKES_VALUE = frozenset({
    "-t", "--threads", "-tb", "--threads-batch", "-b", "--batch-size", "-ub", "--ubatch-size",
    "-n", "--predict", "--n-predict", "--keep", "-s", "--seed", "--repeat-penalty",
    "--repeat-last-n", "--presence-penalty", "--frequency-penalty", "--typical", "--mirostat",
    "--dry-multiplier", "--dry-base", "--dry-allowed-length", "--xtc-probability",
    "--xtc-threshold", "--rope-scaling", "--rope-scale", "--rope-freq-base", "--rope-freq-scale",
    "-to", "--timeout", "--reasoning-budget", "--reasoning-format", "--chat-template",
    "--chat-template-kwargs", "-lv", "--verbosity", "--log-verbosity", "--override-kv",
    "--main-gpu", "-mg", "--split-mode", "-sm", "--tensor-split", "-ts", "--prio", "--poll",
    "--pooling", "--ctx-checkpoints", "--cache-reuse",
})  # fmt: skip
"""Flags that an operator may add, each with one value behind it."""

SWITCHES = frozenset({
    "--no-warmup", "--warmup", "--no-cont-batching", "--cont-batching", "--swa-full",
    "--no-context-shift", "--context-shift", "--kv-unified", "--no-kv-unified", "--no-kv-offload",
    "--no-mmproj-offload", "--special", "--log-disable", "--log-prefix",
    "--log-timestamps", "--embedding", "--embeddings", "--reranking", "--rerank", "--no-repack",
    "--check-tensors", "--no-cache-prompt", "--cache-prompt", "--ignore-eos", "--no-perf",
    "--prefill-assistant", "--no-prefill-assistant", "--no-host", "--op-offload",
    "--no-op-offload",
})  # fmt: skip
"""Flags that an operator may add, without a value."""


def check_extra_args(subject: str, extra_args: tuple[str, ...]) -> None:
    """Refuse what a model's extra arguments may not say.

    Args:
        subject: What the error names, such as `model 'qwen3vl-8b'`.
        extra_args: The words, flags and values in the order of the command line.

    Raises:
        ConfigError: for a flag that is reserved or unknown, a value that is missing or stray, and
            text that llama-swap or its word splitting would change.
    """
    words = iter(extra_args)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag in RESERVED:
            raise ConfigError.of(
                subject, "extra_args", word, allowed=f"not {flag}", remedy=RESERVED[flag]
            )
        if equals or (flag not in TAKES_VALUE and flag not in SWITCHES):
            raise ConfigError.of(
                subject,
                "extra_args",
                word,
                allowed="flags listed in llama_swap_config/flags.py",
                remedy="write flag and value as two words, or add the flag there after reading "
                "`llama-server --help` of the pinned build",
            )
        if flag in TAKES_VALUE:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise ConfigError.of(
                    subject, "extra_args", word, allowed=f"{flag} VALUE", remedy="add its value"
                )
            if "${" in value or any(ord(character) < 32 for character in value):
                raise ConfigError.of(
                    subject,
                    "extra_args",
                    value,
                    allowed="one line without '${'",
                    remedy="write the value itself",
                )


def switched_on(extra_args: Sequence[str], on: str, *, off: str | None = None) -> bool:
    """Whether a switch is given, and not taken back by the other one behind it."""
    given = [word for word in extra_args if word in (on, off)]
    return bool(given) and given[-1] == on


def number_of(subject: str, extra_args: Sequence[str], *flags: str, default: int) -> int:
    """The whole number behind a flag; of several, llama-server takes the last.

    Args:
        subject: What the error names, such as `model 'qwen3vl-8b'`.
        extra_args: The words, flags and values in the order of the command line.
        flags: The flag's names.
        default: What llama-server takes where the flag is not given.

    Raises:
        ConfigError: when it is no number, or less than 1.
    """
    found = default
    for flag, text in itertools.pairwise(extra_args):
        if flag in flags:
            if not (text.isascii() and text.isdigit() and int(text[:10]) > 0):
                raise ConfigError.of(
                    subject, f"extra_args {flag}", text, allowed="a whole number, at least 1",
                    remedy="correct the number",
                )  # fmt: skip
            found = int(text[:10])
    return found
