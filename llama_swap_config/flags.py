"""The flags of llama-server: their names, what renders them, and which `extra_args` may use.

The table gives the options of every llama-server (front_ends/server_command.py), the check of
`extra_args`, and how `ops drift` parses a command line. The names are those of `llama-server
--help` of both builds that this repository uses: b10524 in the container image and b11434 in the
tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llama_swap_config.errors import ConfigError

_RENDERED = "Set the field of the registry or the settings that renders it"
_FIXED = "Remove it: this repository sets it for every model"
_SECRET = "Put API keys into a Secret"  # noqa: S105 - a sentence.
_UNSAFE = "Remove it: it opens files, tools or the network to every client"
_REMOVED = "Remove it: llama-server dropped it after build b10884"
_DOWNLOADS = "Remove it: the lock names the files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag of llama-server."""

    names: tuple[str, ...]
    """The name that this repository uses, then llama-server's other ones."""
    takes_value: bool
    field: str = ""
    """Field of a model that renders it, such as `sampling.top_k`."""
    setting: str = ""
    """Field of ServerSettings that renders it, the same for all models."""
    always: str | None = None
    """The value that every llama-server gets; empty for a switch."""
    split: str | None = None
    """The value that each model on several cards gets."""
    refused: str = ""
    """What to do instead of using it in `extra_args`; empty where `extra_args` may use it."""
    reserves: bool = True
    """Whether the memory of the card may depend on it in `extra_args` (default: yes, so that it is
    measured)."""

    @property
    def refusal(self) -> str:
        """What to do instead of using it in `extra_args`; empty where `extra_args` may use it."""
        if self.field or self.setting or self.split is not None:
            return _RENDERED
        return self.refused if self.always is None else _FIXED


def _value(
    *names: str,
    field: str = "",
    setting: str = "",
    always: str | None = None,
    split: str | None = None,
) -> Flag:
    return Flag(
        names=names, takes_value=True, field=field, setting=setting, always=always, split=split
    )


def _switch(*names: str, always: str | None = None) -> Flag:
    return Flag(names=names, takes_value=False, always=always)


def _refused(why: str, *flags: Flag) -> tuple[Flag, ...]:
    return tuple(replace(flag, refused=why) for flag in flags)


FLAGS = (
    # Shared by all models, in the order of the command line.
    _value("-ngl", "--gpu-layers", "--n-gpu-layers", setting="gpu_layers"),
    # Added by each model instead where they are on different cards.
    _value("--device", "-dev", setting="device", field="cards"),
    _value("-fa", "--flash-attn", always="on"),
    # llama-server must not resize anything silently.
    _value("-fit", "--fit", always="off"),
    # With another mode a failing NFS mount kills the server by SIGBUS.
    _value("--load-mode", always="none"),
    _value("--cache-ram", "-cram", setting="cache_ram_mib"),
    _value("--threads-http", setting="threads_http"),
    _value("--verbosity", "-lv", "--log-verbosity", setting="log_verbosity"),
    _switch("--metrics", always=""),
    _switch("--no-ui", "--no-webui", always=""),
    _switch("--offline", always=""),
    _switch("--jinja", always=""),
    # Added by one model.
    _value("--model", "-m", field="id"),
    _value("--mmproj", "-mm", field="projector"),
    _value("--image-max-tokens", field="image_max_tokens"),
    _value("--image-min-tokens", field="image_min_tokens"),
    _value("--alias", "-a", field="aliases"),
    _value("--ctx-size", "-c", field="context"),
    _value("-np", "--parallel", field="parallel_slots"),
    _value("-ctk", "--cache-type-k", field="kv_cache_type_k"),
    _value("-ctv", "--cache-type-v", field="kv_cache_type_v"),
    _value("--reasoning", "-rea", field="reasoning"),
    _value("--temp", "--temperature", field="sampling.temperature"),
    _value("--top-p", field="sampling.top_p"),
    _value("--top-k", field="sampling.top_k"),
    _value("--min-p", field="sampling.min_p"),
    _value("--split-mode", "-sm", split="layer"),
    # Without it llama-server splits by the memory that is free at that moment.
    _value("--tensor-split", "-ts", field="tensor_split"),
    # No tensor has this name, but any override turns pipeline parallelism off. Its buffers are
    # reserved only where there is room for them, and a measurement with b10524 does not show them.
    _value("--override-tensor", "-ot", split="no-pipeline-parallelism=CPU"),
    # Refused in `extra_args`.
    *_refused(
        _FIXED,
        _value("--host"), _value("--port"), _switch("--slots"),
        _switch("--no-slots"), _switch("--ui", "--webui"), _switch("--no-jinja"),
    ),
    *_refused(_SECRET, _value("--api-key"), _value("--api-key-file")),
    *_refused(
        _UNSAFE,
        _value("--media-path"), _value("--path"), _value("--tools"), _switch("--agent"),
        _value("--ssl-key-file"), _value("--ssl-cert-file"), _value("--models-dir"),
        _value("--models-preset"), _value("--rpc"), _switch("--props"),
        _value("--slot-save-path"), _value("--log-file"),
    ),
    *_refused(
        _REMOVED,
        _switch("--mlock"), _switch("--mmap"), _switch("--no-mmap"),
        _switch("--direct-io", "-dio"),
    ),
    *_refused(
        _DOWNLOADS,
        _value("--hf-repo", "-hf", "-hfr"), _value("--hf-file", "-hff"),
        _value("--hf-token", "-hft"), _value("--model-url", "-mu"),
        _value("--mmproj-url", "-mmu"), _switch("--mmproj-auto"), _switch("--no-mmproj"),
    ),
    # Accepted in `extra_args`, with a value and without.
    *(
        _value(*names.split())
        for names in (
            "--batch-size -b", "--ubatch-size -ub", "--rope-scaling", "--rope-scale",
            "--rope-freq-base", "--rope-freq-scale", "--override-kv", "--main-gpu -mg",
            "--pooling", "--ctx-checkpoints",
        )
    ),
    *(
        _switch(*names.split())
        for names in (
            "--no-warmup", "--warmup", "--no-cont-batching", "--cont-batching", "--swa-full",
            "--kv-unified", "--no-kv-unified", "--no-kv-offload", "--no-mmproj-offload",
            "--embedding --embeddings", "--reranking --rerank", "--no-repack", "--no-host",
            "--op-offload", "--no-op-offload",
        )
    ),
    # The same, where they change nothing on the card.
    *(
        replace(_value(*names.split()), reserves=False)
        for names in (
            "--threads -t", "--threads-batch -tb", "--predict -n --n-predict", "--keep",
            "--seed -s", "--repeat-penalty", "--repeat-last-n", "--presence-penalty",
            "--frequency-penalty", "--typical", "--mirostat", "--dry-multiplier", "--dry-base",
            "--dry-allowed-length", "--xtc-probability", "--xtc-threshold", "--timeout -to",
            "--reasoning-budget", "--reasoning-format", "--chat-template",
            "--chat-template-kwargs", "--prio", "--poll", "--cache-reuse",
        )
    ),
    *(
        replace(_switch(*names.split()), reserves=False)
        for names in (
            "--no-context-shift", "--context-shift", "--special", "--log-disable",
            "--log-prefix", "--log-timestamps", "--check-tensors", "--no-cache-prompt",
            "--cache-prompt", "--ignore-eos", "--no-perf", "--prefill-assistant",
            "--no-prefill-assistant",
        )
    ),
)  # fmt: skip
BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
BY_FIELD = {flag.field: flag for flag in FLAGS if flag.field}

RENDER_NO_FLAG = {
    "repository": "the lock names the model's files",
    "quantisation": "the lock names the model's files",
    "file": "the lock names the model's files",
    "projector_file": "the lock names the model's files",
    "projector_repository": "the lock names the model's files",
    "ttl_s": "the front end unloads the model: `ttl`, or the router's `sleep-idle-seconds`",
    "name": "shown in a list of models",
    "description": "shown in a list of models",
    "env": "the process's environment",
    "pools": "each pool's front end has the models that name it",
    "extra_args": "flags themselves",
}
"""Fields of a model that no flag renders -> why."""


def spelling(word: str) -> str:
    """Return the name of a flag that this repository uses; an unknown word stays as it is."""
    flag = BY_NAME.get(word)
    return word if flag is None else flag.names[0]


def check_extra_args(subject: str, extra_args: tuple[str, ...]) -> None:
    """Check a model's extra arguments.

    Args:
        subject: The model in the error, such as `model 'qwen3vl-8b'`.
        extra_args: Flags and values in the order of the command line.

    Raises:
        ConfigError: when a flag is reserved or unknown, a value is missing or stray, or
            llama-swap would change the text.
    """

    def refusal(word: str, expected: str, remedy: str) -> ConfigError:
        return ConfigError.of(subject, "extra_args", word, expected=expected, remedy=remedy)

    words = iter(extra_args)
    for word in words:
        flag, equals, _ = word.partition("=")
        known = BY_NAME.get(flag)
        if known is not None and known.refusal:
            raise refusal(word, f"a flag other than {flag}", known.refusal)
        if equals or known is None:
            raise refusal(
                word,
                "a flag of llama_swap_config/flags.py",
                "Write flag and value as two words, or add the flag there after reading "
                "`llama-server --help` of the pinned build",
            )
        if known.takes_value:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise refusal(word, f"{flag} VALUE", "Add its value")
            if not is_one_line(value):
                raise refusal(value, "one line without '${'", "Write the value itself")


def is_one_line(text: str) -> bool:
    """Whether a text has neither a macro of llama-swap nor a control character."""
    return "${" not in text and all(ord(character) >= 32 for character in text)


def switched_on(extra_args: Sequence[str], on: str, *, off: str | None = None) -> bool:
    """Whether a switch is given and the opposite switch `off` does not follow it."""
    given = [word for word in extra_args if word in (on, off)]
    return bool(given) and given[-1] == on


def number_of(subject: str, extra_args: Sequence[str], name: str, *, default: int) -> int:
    """Read the number after a flag; llama-server uses the last one.

    Args:
        subject: The model in the error, such as `model 'qwen3vl-8b'`.
        extra_args: Flags and values in the order of the command line.
        name: The flag, by the name that this repository uses.
        default: llama-server's own value.

    Raises:
        ConfigError: when it is not a number of at least 1.
    """
    number = default
    for flag, text in itertools.pairwise(extra_args):
        if spelling(flag) == name:
            if not (text.isascii() and text.isdigit() and int(text[:10]) > 0):
                raise ConfigError.of(
                    subject, f"extra_args {flag}", text, expected="a whole number of at least 1",
                    remedy="Correct the number",
                )  # fmt: skip
            number = int(text[:10])
    return number
