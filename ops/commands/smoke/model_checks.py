"""What is asked of each model, and what its answer must be."""

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
"""A side of the pictures: small ones are enlarged by some models and ignored by none."""
_ANSWER_TOKENS = 32
_THOUGHT_TOKENS = 1024
_JSON_TOKENS = 256
"""More than the schema needs: random weights fill it up with blanks and a fence."""
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
"""llama-server closes its connection after a stream, although it says Keep-Alive. A front end that
is asked again within a millisecond may still use it and answers 502 (measured: 2 of 300, none of
300 after 2 ms); that race is theirs, and no sign of how the endpoint was set up."""
_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks one model."""

    endpoint: Endpoint
    model: Model
    timeout_s: float
    """Seconds for one answer, the load before it included."""
    random_weights: bool
    """Whether the weights are stand-ins, which see a picture but cannot name its colour."""

    def most_tokens(self, answer: int = _ANSWER_TOKENS) -> int:
        """The longest answer in tokens, with what a model that thinks takes before it."""
        return answer + (_THOUGHT_TOKENS if self.model.reasoning == "on" else 0)

    def chat(self, content: object, **fields: object) -> Answer:
        """Ask one question at temperature 0."""
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
        """Ask this model anything."""
        body = {"model": self.model.id, **body}
        return self.endpoint.post(path, body, timeout_s=self.timeout_s)


def text(asker: Asker) -> None:
    """A question is answered, and its tokens are counted."""
    _check_greeting(_greet(asker))


def cold_text(asker: Asker) -> None:
    """The same as the first question: where it is not answered, each other would load again."""
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
    """Two pictures are told apart and, by real weights, named."""
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
            f"a red and a blue picture are both answered {excerpt(answers[0])!r}: the model does "
            "not see them"
        )
    if asker.random_weights:
        return
    for colour, answer in zip(_COLOURS, answers, strict=True):
        if not re.search(rf"\b{colour}\b", answer, re.IGNORECASE):
            raise CheckError(f"a {colour} picture is answered {excerpt(answer)!r}")


def stream(asker: Asker) -> None:
    """A stream has chunks, a reason for its end, the usage, and an end that says so."""
    answer = asker.chat(
        "Count from one to five.", stream=True, stream_options={"include_usage": True}
    )
    time.sleep(_AFTER_STREAM_S)
    if answer.status != 200:
        raise CheckError(answer.failure())
    if answer.media_type != "text/event-stream":
        what = answer.media_type or "something"
        raise CheckError(f"answers {what}, no event stream: {excerpt(answer.text)}")
    lines = [line for line in answer.text.splitlines() if line.strip()]
    done = bool(lines) and lines[-1].strip() == "data: [DONE]"
    chunks = [_chunk(line) for line in (lines[:-1] if done else lines)]
    if not done:
        raise CheckError(
            f"the stream ends after {len(chunks)} chunks without data: [DONE], as one does whose "
            "llama-server died; its log says why"
        )
    if not any(at(chunk, "choices", 0, "delta") for chunk in chunks):
        raise CheckError("the stream has no chunk with an answer")
    if not any(at(chunk, "choices", 0, "finish_reason") for chunk in chunks):
        raise CheckError("no chunk of the stream has a finish_reason")
    _check_usage(next((usage for chunk in chunks if (usage := at(chunk, "usage"))), None))


def schema(asker: Asker) -> None:
    """An answer keeps to a JSON schema."""
    named = {"name": "picture", "strict": True, "schema": _SCHEMA}
    document = asker.chat(
        "The sky is blue. Give its colour as JSON, and whether you are certain.",
        response_format={"type": "json_schema", "json_schema": named},
        max_tokens=asker.most_tokens(_JSON_TOKENS),
    ).document()
    content = _content(document)
    fenced = _FENCE.fullmatch(content)
    try:
        found = json.loads(fenced.group(1) if fenced else content)
    except (ValueError, RecursionError) as error:
        raise CheckError(f"the answer is no JSON: {excerpt(content)}") from error
    conforms = (
        isinstance(found, dict)
        and set(found) == {"colour", "certain"}
        and found["colour"] in _COLOURS
        and isinstance(found["certain"], bool)
    )
    if not conforms:
        raise CheckError(f"the answer does not keep to the schema: {excerpt(found)}")


def grammar(asker: Asker) -> None:
    """An answer of /completion keeps to a grammar."""
    body: dict[str, object] = {
        "prompt": "Is the sky blue? Answer: ",
        "grammar": 'root ::= "yes" | "no"',
        "n_predict": 8,
        "temperature": 0,
    }
    document = asker.post("/completion", body).document()
    content = at(document, "content")
    if not isinstance(content, str):
        raise _other_shape("content", document)
    if content not in ("yes", "no"):
        raise CheckError(f'the grammar allows "yes" or "no"; answered {excerpt(content)!r}')


def messages(asker: Asker) -> None:
    """The endpoint speaks Anthropic's /v1/messages too."""
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": "Say hello in one short sentence."}],
        "temperature": 0,
        "max_tokens": asker.most_tokens(),
    }
    document = asker.post("/v1/messages", body).document()
    if at(document, "type") != "message":
        raise _other_shape("type message", document)
    parts = at(document, "content")
    parts = parts if isinstance(parts, list) else []
    if not any(at(part, "type") == "text" and at(part, "text") for part in parts):
        raise _other_shape("content of type text", document)
    # What the prompt shares with the last one is counted apart.
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    asked, cached, answered = (at(document, "usage", name) for name in names)
    if not (_count(asked) + _count(cached) and _count(answered)):
        raise CheckError(f"the tokens are not counted: usage is {excerpt(at(document, 'usage'))}")


def too_long(asker: Asker) -> None:
    """A prompt that the model's context cannot hold is refused as such."""
    slot = asker.model.context // asker.model.parallel_slots
    # Each number is a token at least, whatever the tokenizer; llama-server rounds contexts up.
    prompt = " ".join(map(str, range(2 * slot)))
    answer = asker.chat(prompt, max_tokens=1)
    if answer.status == 200:
        raise CheckError(f"a prompt of over {2 * slot} tokens is answered; context is {slot}")
    error = at(parsed(answer.text), "error")
    if answer.status != 400 or at(error, "type") != "exceed_context_size_error":
        raise CheckError(f"expected 400 exceed_context_size_error; {answer.failure()}")
    context = at(error, "n_ctx")
    if isinstance(context, int) and context < slot:
        raise CheckError(f"the context is {context} tokens, in the registry {slot}")


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
"""Name -> check, in the order in which they are asked."""


def checks_of(model: Model) -> tuple[tuple[str, Callable[[Asker], None]], ...]:
    """List what can be asked of a model: a text model sees no pictures."""
    return tuple(
        each for each in MODEL_CHECKS if each[0] != "picture" or model.projector is not None
    )


def _greet(asker: Asker) -> Answer:
    return asker.chat("Say hello in one short sentence.")


def _check_greeting(answer: Answer) -> None:
    document = answer.document()
    _content(document)
    _check_usage(at(document, "usage"))


def _content(document: object) -> str:
    """The answer of a chat; a model that thinks may not have come to one."""
    message = at(document, "choices", 0, "message")
    content = at(message, "content")
    if not isinstance(content, str) and not at(message, "reasoning_content"):
        raise _other_shape("choices[0].message.content", document)
    if not content or not content.strip():
        reason = excerpt(at(document, "choices", 0, "finish_reason"))
        raise CheckError(f"the answer is empty (finish_reason {reason})")
    return str(content)


def _chunk(line: str) -> Any:
    if line.startswith(":"):  # A comment, such as a proxy's sign of life.
        return None
    name, _, value = line.partition(":")
    try:
        document = json.loads(value if name == "data" else line)
    except (ValueError, RecursionError) as error:
        raise CheckError(f"a line of the stream is no chunk: {excerpt(line)}") from error
    if at(document, "error") is not None:
        raise CheckError(f"an error in the stream: {excerpt(at(document, 'error'))}")
    return document


def _check_usage(usage: object) -> None:
    asked, answered, total = (
        _count(at(usage, name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if not asked or not answered or total != asked + answered:
        found = "missing" if usage is None else excerpt(usage)
        raise CheckError(f"the tokens are not counted: usage is {found}")


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _other_shape(wanted: str, document: object) -> CheckError:
    return CheckError(f"answers JSON without {wanted}: {excerpt(document)}")
