"""Redact what looks like a key or a password, and nothing else.

Digests and commits stay: they are hexadecimal, and no pattern of a key is. Every repetition before
which a match may fail is bounded: otherwise a hostile text of 100 kB would take minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MARK = "[redacted]"

_KEYS = re.compile(
    r"""
      (?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}                     # OpenAI, Anthropic, LiteLLM
    | hf_[A-Za-z0-9]{16,}                                  # Hugging Face
    | (?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})    # GitHub
    | glpat-[\w-]{16,}                                     # GitLab
    | (?:AKIA|ASIA)[A-Z0-9]{12,}                           # AWS
    | xox[a-z]-[\w-]{8,}                                   # Slack
    | AIza[\w-]{30,}                                       # Google
    | eyJ[\w-]{8,400}\.[\w-]+\.[\w-]*                      # JWT
    """,
    re.ASCII | re.VERBOSE,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_LOGIN = re.compile(
    r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s/:@]{0,200}):[^\s/@]{1,500}@", re.ASCII
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)([ \t]+)[\w.~+/=-]{8,}")
_NAME = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|"
    r"(?:api|access|private|auth)[_-]?key)"
)
_ASSIGNED = re.compile(
    rf"""(?ix)
    ({_NAME}["'\]]?\s*(?:=>|[:=])\s*|--(?:api-key|hf-token|password|token|key)[ =]|
       [?&](?:key|sig|signature|x-(?:amz|goog)-(?:signature|credential))=)
    (?: "([^"\n]*)" | '([^'\n]*)' | ([^\s"',;&|)}}\]]+) )
    """
)
_OPTION = re.compile(rf"(?i)-[\w-]*(?:{_NAME}|key)")
"""An option whose value is a key."""
_PLAIN = re.compile(
    r"(?i)true|false|null|none|[a-z]{1,2}|\d{1,5}|\$+\{.*|os\.environ/\w+|\[redacted\]|<.*>|"
)
"""What follows `token:` without being a token: a switch, a number, an article, a variable, which
LiteLLM spells `os.environ/NAME`."""


def redact(text: str) -> str:
    """Replace what looks like a key or a password by `[redacted]`.

    Args:
        text: Of any length; a private key may span several lines.
    """
    text = _PEM.sub(MARK, text)
    text = _LOGIN.sub(rf"\1:{MARK}@", text)
    text = _KEYS.sub(MARK, text)
    text = _BEARER.sub(rf"\1\2{MARK}", text)
    return _ASSIGNED.sub(_assigned, text)


def redact_all(value: Any) -> Any:
    """Redact every text in lists and objects, and their keys."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _member(str(key), member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        before = ["", *value]
        return [
            MARK if _is_argument(option, word) else redact_all(word)
            for option, word in zip(before, value, strict=False)
        ]
    return value


def is_secret_name(names: Iterable[str]) -> bool:
    """Whether a value under these names is secret: `env[HF_TOKEN].value`."""
    return any(re.search(rf"(?i){_NAME}$", name.strip("[]")) for name in names)


def _member(key: str, value: Any) -> Any:
    kept = isinstance(value, str) and is_secret_name([key]) and not _PLAIN.fullmatch(value)
    return MARK if kept else redact_all(value)


def _is_argument(option: Any, value: Any) -> bool:
    """Whether a word of a command is the value of an option for keys."""
    return (
        isinstance(option, str)
        and isinstance(value, str)
        and _OPTION.fullmatch(option) is not None
        and not _PLAIN.fullmatch(value)
    )


def _assigned(match: re.Match[str]) -> str:
    value = next((group for group in match.groups()[1:] if group is not None), "")
    if _PLAIN.fullmatch(value):
        return match.group()
    quote = '"' if match.group(2) is not None else "'" if match.group(3) is not None else ""
    return f"{match.group(1)}{quote}{MARK}{quote}"
