"""Check that each label is one token of a model; it is asked while loaded, so nothing loads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from ops.commands.bench.asking.label_logprobs import label_logprobs
from ops.endpoint.client import Endpoint, at
from ops.endpoint.errors import CheckError
from ops.errors import OpsError

_TIMEOUT_S = 30


class LabelError(OpsError):
    """A label of the rubric that is not one token of a model."""


def label_tokens(
    endpoint: Endpoint, model: str, labels: Sequence[str], answer: Any
) -> dict[str, int]:
    """Find the token of each label.

    Args:
        endpoint: The endpoint.
        model: The id of a loaded model.
        labels: The labels.
        answer: The model's answer to its warm-up, whose shown tokens are checked if the
            tokenizer cannot be asked.

    Returns:
        Label -> token id; empty: labels match by text.

    Raises:
        LabelError: when a label is not one token.
    """
    ids: dict[str, int] = {}
    for label in labels:
        tokens = _tokenize(endpoint, model, label)
        if tokens is None:
            _check_shown(model, labels, answer)
            return {}
        if len(tokens) != 1:
            raise LabelError(
                f"label {label!r} is {len(tokens)} tokens of {model}; expected one. Use digits "
                "from 0 to 9 or short capitalised words as the rubric's labels."
            )
        ids[label] = tokens[0]
    return ids


def _tokenize(endpoint: Endpoint, model: str, label: str) -> list[int] | None:
    """Ask llama-server behind llama-swap, else behind its own router; None: neither answers."""
    question = {"content": label, "add_special": False}
    for path, body in (
        (f"/upstream/{quote(model, safe='')}/tokenize", question),
        ("/tokenize", question | {"model": model}),
    ):
        try:
            answer = endpoint.post(path, body, timeout_s=_TIMEOUT_S)
            tokens = at(json.loads(answer.text), "tokens") if answer.status == 200 else None
        except (CheckError, ValueError, RecursionError):
            continue
        if isinstance(tokens, list) and all(type(token) is int for token in tokens):
            return tokens
    return None


def _check_shown(model: str, labels: Sequence[str], answer: Any) -> None:
    token = at(answer, "choices", 0, "logprobs", "content", 0)
    shown = label_logprobs(token, labels)
    missing = next((label for label in labels if label not in shown), None)
    if missing is not None:
        raise LabelError(
            f"label {missing!r} is not among the likeliest tokens of {model}, and this endpoint "
            "does not offer the model's tokenizer. Use digits or short capitalised words as the "
            "rubric's labels."
        )
