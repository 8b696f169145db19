"""Checks of one model: the requests, and what their answers must be."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llama_swap_config.model import Model
from ops.endpoint.client import CHAT, Answer, Endpoint, at, excerpt, parsed
from ops.endpoint.errors import CheckError
from ops.endpoint.pictures import data_uri, solid_picture

_QUESTION = "Which colour is this? Answer with one word."
_COLOURS = ("red", "blue")
_PICTURE_PX = 256
"""Width and height of the pictures; some models enlarge smaller ones."""
_ANSWER_TOKENS = 32
_THOUGHT_TOKENS = 1024
_JSON_TOKENS = 256
"""More than the schema needs: random weights add whitespace and a code fence."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": list(_COLOURS)},
        "certain": {"type": "boolean"},
    },
    "required": ["colour", "certain"],
    "additionalProperties": False,
}
_AFTER_STREAM_S = 0.1
"""llama-server closes its connection after a stream, although it announces Keep-Alive. A front end
that gets the next request within a millisecond may still use that connection and answer 502
(measured: 2 of 300, none of 300 after 2 ms). The race is theirs and shows nothing about the
endpoint's configuration."""
_TOLD_CONTEXT = re.compile(r"exceeds the available context size \((\d+) tokens\)", re.ASCII)
_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Sends requests to one model."""

    endpoint: Endpoint
    model: Model
    timeout_s: float
    """Seconds for one answer, including the load before it."""
    random_weights: bool
    """Whether the weights are random, so that the model cannot name a colour."""

    def most_tokens(self, answer: int = _ANSWER_TOKENS) -> int:
        """Return the token limit of a request; a model that thinks gets more (default: 32)."""
        return answer + (_THOUGHT_TOKENS if self.model.reasoning == "on" else 0)

    def chat(self, content: object, **fields: object) -> Answer:
        """Send one chat request at temperature 0."""
        return self.post(
            CHAT,
            {
                "messages": [{"role": "user", "content": content}],
                "temperature": 0,
                "max_tokens": self.most_tokens(),
                **fields,
            },
        )

    def post(self, path: str, body: dict[str, object]) -> Answer:
        """Send one request with this model's id."""
        body = {"model": self.model.id, **body}
        return self.endpoint.post(path, body, timeout_s=self.timeout_s)


def text(asker: Asker) -> None:
    """A text question must be answered, with its tokens counted."""
    _check_greeting(_greet(asker))


def cold_text(asker: Asker) -> None:
    """`text` as the first check; its failure ends the model, as each retry would load it anew."""
    try:
        answer = _greet(asker)
    except CheckError as failed:
        if failed.ends == "check":
            raise CheckError(str(failed), ends="model") from failed
        raise
    if answer.status != 200:
        raise CheckError(answer.failure(), ends="model")
    _check_greeting(answer)


def picture(asker: Asker) -> None:
    """Two colours must get different answers and, with real weights, their names."""
    answers = []
    for colour in _COLOURS:
        uri = data_uri(solid_picture(colour, size_px=_PICTURE_PX))
        content = [
            {"type": "text", "text": _QUESTION},
            {"type": "image_url", "image_url": {"url": uri}},
        ]
        answers.append(_content(asker.chat(content).document()).strip())
    if len(set(answers)) == 1:
        raise CheckError(
            f"a red and a blue picture get the same answer {excerpt(answers[0])!r}: the model "
            "does not see them"
        )
    if asker.random_weights:
        return
    for colour, answer in zip(_COLOURS, answers, strict=True):
        if not re.search(rf"\b{colour}\b", answer, re.IGNORECASE):
            raise CheckError(f"the answer to a {colour} picture is {excerpt(answer)!r}")


def stream(asker: Asker) -> None:
    """A stream must have answer chunks, a finish_reason, the usage, and data: [DONE] last."""
    answer = asker.chat(
        "Count from one to five.", stream=True, stream_options={"include_usage": True}
    )
    time.sleep(_AFTER_STREAM_S)
    if answer.status != 200:
        raise CheckError(answer.failure())
    if answer.media_type != "text/event-stream":
        media_type = answer.media_type or "no media type"
        raise CheckError(
            f"the answer is not an event stream ({media_type}): {excerpt(answer.text)}"
        )
    lines = [line for line in answer.text.splitlines() if line.strip()]
    done = bool(lines) and lines[-1].strip() == "data: [DONE]"
    chunks = [_chunk(line) for line in (lines[:-1] if done else lines)]
    if not done:
        raise CheckError(
            f"the stream ends after {len(chunks)} chunks without data: [DONE]; llama-server may "
            "have ended. See its log"
        )
    if not any(at(chunk, "choices", 0, "delta") for chunk in chunks):
        raise CheckError("no chunk of the stream has an answer")
    if not any(at(chunk, "choices", 0, "finish_reason") for chunk in chunks):
        raise CheckError("no chunk of the stream has a finish_reason")
    _check_usage(next((usage for chunk in chunks if (usage := at(chunk, "usage"))), None))


def schema(asker: Asker) -> None:
    """An answer must match a JSON schema."""
    named = {"name": "picture", "strict": True, "schema": _SCHEMA}
    document = asker.chat(
        "The sky is blue. Give its colour as JSON, and whether you are certain.",
        response_format={"type": "json_schema", "json_schema": named},
        max_tokens=asker.most_tokens(_JSON_TOKENS),
    ).document()
    content = _content(document)
    fenced = _FENCE.fullmatch(content)
    try:
        value = json.loads(fenced.group(1) if fenced else content)
    except (ValueError, RecursionError) as error:
        raise CheckError(f"the answer is not JSON: {excerpt(content)}") from error
    conforms = (
        isinstance(value, dict)
        and set(value) == {"colour", "certain"}
        and value["colour"] in _COLOURS
        and isinstance(value["certain"], bool)
    )
    if not conforms:
        raise CheckError(f"the answer does not match the schema: {excerpt(value)}")


def grammar(asker: Asker) -> None:
    """An answer of /completion must match a grammar."""
    body: dict[str, object] = {
        "prompt": "Is the sky blue? Answer: ",
        "grammar": 'root ::= "yes" | "no"',
        "n_predict": 8,
        "temperature": 0,
    }
    document = asker.post("/completion", body).document()
    content = at(document, "content")
    if not isinstance(content, str):
        raise _missing("content", document)
    if content not in ("yes", "no"):
        raise CheckError(
            f'the answer is {excerpt(content)!r}; expected "yes" or "no", as in the grammar'
        )


def messages(asker: Asker) -> None:
    """The endpoint must answer Anthropic's /v1/messages, with its tokens counted."""
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": "Say hello in one short sentence."}],
        "temperature": 0,
        "max_tokens": asker.most_tokens(),
    }
    document = asker.post("/v1/messages", body).document()
    if at(document, "type") != "message":
        raise _missing("type message", document)
    parts = at(document, "content")
    parts = parts if isinstance(parts, list) else []
    if not any(at(part, "type") == "text" and at(part, "text") for part in parts):
        raise _missing("content of type text", document)
    # Tokens that the prompt shares with the previous one are counted separately.
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    prompt, cached, answer = (_count(at(document, "usage", name)) for name in names)
    if not (prompt + cached and answer):
        raise CheckError(f"usage is {excerpt(at(document, 'usage'))}; expected token counts")


def too_long(asker: Asker) -> None:
    """A prompt that exceeds the model's context must be refused with that error."""
    slot = asker.model.context // asker.model.parallel_slots
    # Each number is at least one token in any tokenizer; llama-server rounds contexts up.
    prompt = " ".join(map(str, range(2 * slot)))
    answer = asker.chat(prompt, max_tokens=1)
    if answer.status == 200:
        raise CheckError(
            f"a prompt of over {2 * slot} tokens is answered; expected an error: context is {slot}"
        )
    error = at(parsed(answer.text), "error")
    # LiteLLM keeps llama-server's sentence of the error, and neither its type nor its n_ctx.
    told = _TOLD_CONTEXT.search(answer.error())
    is_told = told is not None or at(error, "type") == "exceed_context_size_error"
    if answer.status != 400 or not is_told:
        raise CheckError(f"expected 400 exceed_context_size_error; got {answer.failure()}")
    context = int(told[1]) if told else at(error, "n_ctx")
    if isinstance(context, int) and context < slot:
        raise CheckError(f"context is {context}; expected {slot}, as in the registry")


MODEL_CHECKS: tuple[tuple[str, Callable[[Asker], None]], ...] = (
    ("text", cold_text),
    ("warm", text),
    ("picture", picture),
    ("stream", stream),
    ("schema", schema),
    ("grammar", grammar),
    ("messages", messages),
    ("too long", too_long),
)
"""Names and checks in the order of their requests."""


def checks_of(model: Model) -> tuple[tuple[str, Callable[[Asker], None]], ...]:
    """Return the checks of a model; a model without a projector gets no picture."""
    return tuple(
        check for check in MODEL_CHECKS if check[0] != "picture" or model.projector is not None
    )


def _greet(asker: Asker) -> Answer:
    return asker.chat("Say hello in one short sentence.")


def _check_greeting(answer: Answer) -> None:
    document = answer.document()
    _content(document)
    _check_usage(at(document, "usage"))


def _content(document: object) -> str:
    """Return the answer of a chat; a model that thinks may end before it answers."""
    message = at(document, "choices", 0, "message")
    content = at(message, "content")
    if not isinstance(content, str) and not at(message, "reasoning_content"):
        raise _missing("choices[0].message.content", document)
    if not content or not content.strip():
        reason = excerpt(at(document, "choices", 0, "finish_reason"))
        raise CheckError(f"the answer is empty (finish_reason {reason})")
    return str(content)


def _chunk(line: str) -> Any:
    if line.startswith(":"):  # A comment, such as a proxy's keep-alive.
        return None
    name, _, value = line.partition(":")
    try:
        document = json.loads(value if name == "data" else line)
    except (ValueError, RecursionError) as error:
        raise CheckError(f"a line of the stream is not a chunk: {excerpt(line)}") from error
    if at(document, "error") is not None:
        raise CheckError(f"the stream contains an error: {excerpt(at(document, 'error'))}")
    return document


def _check_usage(usage: object) -> None:
    prompt, answer, total = (
        _count(at(usage, name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if not prompt or not answer or total != prompt + answer:
        value = "missing" if usage is None else excerpt(usage)
        raise CheckError(f"usage is {value}; expected token counts that add up")


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _missing(field: str, document: object) -> CheckError:
    return CheckError(f"the answer has no {field}: {excerpt(document)}")
