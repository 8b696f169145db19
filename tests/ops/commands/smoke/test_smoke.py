"""`smoke` on a fake endpoint: each planted fault fails with one line that names it."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from ops.cli import main
from tests.declaration.registry import REGISTRY
from tests.fakes import endpoint as fakes
from tests.fakes.endpoint import FakeEndpoint, Fault, Reply
from tests.ops.commands.smoke.smoke_runs import IDS, ask, declare_key, fails, outcomes, report

A, B, C = IDS
ASKED_OF_EACH = [
    "text", "text", "picture", "picture", "stream", "schema", "grammar", "messages", "too long",
]  # fmt: skip


def test_smoke_passes_on_a_complete_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint() as fake:
        assert main(["smoke", "--url", fake.url]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert f"{fake.url}, llama-swap" in shown.out
    assert "key           ok: no key is declared, and the endpoint requires none" in shown.out
    for model in IDS:
        (row,) = [line for line in shown.out.splitlines() if line.startswith(model)]
        assert row.split()[3:] == ["ok"] * 6
    assert fake.asked == [f"{model} {what}" for model in IDS for what in ASKED_OF_EACH]


def test_smoke_loads_each_model_once_and_reads_no_metrics() -> None:
    with FakeEndpoint() as fake:
        assert main(["smoke", "--url", fake.url]) == 0
    assert fake.swaps == IDS
    assert fake.loaded is None
    assert not [path for path in fake.paths if "upstream" in path or "metrics" in path]


FAULTS: dict[str, tuple[dict[str, Fault], str]] = {
    "health": (
        {"/health": fakes.always(Reply(status=503, body="no"))},
        "endpoint: reachable: GET /health: status 503: no",
    ),
    "list is HTML": (
        {"/v1/models": fakes.always(fakes.HTML)},
        "endpoint: models: the answer is not JSON (text/html): <html> <body>Bad gateway",
    ),
    "list of another shape": (
        {"/v1/models": fakes.always(Reply(body='{"data": [{"name": "x"}]}'))},
        'endpoint: models: the answer has no data[].id: {"data": [{"name": "x"}]}',
    ),
    "any name is answered": (
        {"unknown": fakes.always(fakes.chat_reply("Hello."))},
        "endpoint: unknown model: expected status 404; got status 200: ",
    ),
    "empty answer": (
        {f"{B} text": fakes.always(fakes.chat_reply(" "))},
        f'{B}: text: the answer is empty (finish_reason stop)',
    ),
    "no usage": (
        {f"{B} text": fakes.always(fakes.chat_reply("Hello.", usage=None))},
        f"{B}: text: usage is missing; expected token counts",
    ),
    "wrong usage": (
        {"text": fakes.always(fakes.chat_reply("x", usage=fakes.USAGE | {"total_tokens": 9}))},
        f"{A}: text: usage is ",
    ),
    "answer is HTML": (
        {f"{C} text": fakes.always(fakes.HTML)},
        f"{C}: text: the answer is not JSON (text/html): <html>",
    ),
    "answer of another shape": (
        {"text": fakes.always(Reply(body='["hello"]'))},
        f'{A}: text: the answer has no choices[0].message.content: ["hello"]',
    ),
    "JSON without end": (
        {"text": fakes.always(Reply(body="[" * 100_000))},
        f"{A}: text: the answer is not JSON (application/json): [[[[",
    ),
    "blind": (
        {f"{B} picture": fakes.always(fakes.chat_reply("Green."))},
        f"{B}: picture: a red and a blue picture get the same answer 'Green.'",
    ),
    "no mmproj": (
        {"picture": fakes.always(fakes.refuse(500, fakes.NO_MMPROJ_HINT))},
        f"{A}: picture: status 500: {fakes.NO_MMPROJ_HINT}",
    ),
    "stream without [DONE]": (
        {f"{C} stream": fakes.always(fakes.stream_reply(reason=None, usage=False, done=False))},
        f"{C}: stream: the stream ends after 2 chunks without data: [DONE]; llama-server "
        "may have ended. See its log",
    ),
    "stream without finish_reason": (
        {"stream": fakes.always(fakes.stream_reply(reason=None))},
        f"{A}: stream: no chunk of the stream has a finish_reason",
    ),
    "stream without usage": (
        {"stream": fakes.always(fakes.stream_reply(usage=False))},
        f"{A}: stream: usage is missing; expected token counts",
    ),
    "no stream": (
        {"stream": fakes.always(fakes.chat_reply("one two"))},
        f"{A}: stream: the answer is not an event stream (application/json): ",
    ),
    "error in the stream": (
        {"stream": fakes.always(fakes.events('{"error": "it fell"}'))},
        f"{A}: stream: the stream contains an error: it fell",
    ),
    "schema broken": (
        {"schema": fakes.always(fakes.chat_reply('{"colour": "green", "certain": 1}'))},
        f'{A}: schema: the answer does not match the schema: {{"colour": "green", ',
    ),
    "schema cut": (
        {"schema": fakes.always(fakes.chat_reply('{"colour": "blue"'))},
        f'{A}: schema: the answer is not JSON: {{"colour": "blue"',
    ),
    "grammar broken": (
        {"grammar": fakes.always(Reply(body='{"content": "maybe"}'))},
        f"{A}: grammar: the answer is 'maybe'; expected \"yes\" or \"no\"",
    ),
    "no messages": (
        {"messages": fakes.always(fakes.refuse(404, "404 page not found"))},
        f"{A}: messages: status 404: 404 page not found",
    ),
    "too long is answered": (
        {"too long": fakes.always(fakes.chat_reply("Hello."))},
        f"{A}: too long: a prompt of over 6144 tokens is answered; expected an error: context",
    ),
    "context too small": (
        {
            "too long": fakes.always(
                Reply(
                    status=400,
                    body='{"error": {"type": "exceed_context_size_error", "n_ctx": 2048}}',
                )
            )
        },
        f"{A}: too long: context is 2048; expected 3072, as in the registry",
    ),
    "reset": (
        {f"{B} grammar": fakes.reset},
        f"{B}: grammar: the connection broke before the answer was complete (",
    ),
    "control characters": (
        {"text": fakes.always(Reply(body="\x1b[2J\x00 no"))},
        f"{A}: text: the answer is not JSON (application/json): ?[2J? no",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_fails_with_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    faults, line = FAULTS[name]
    with FakeEndpoint(faults=faults) as fake:
        assert fails(capsys, fake.url).startswith(f"error: {line}")
    assert fake.loaded is None


def test_unreachable_server_skips_all_other_checks(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    document = report(capsys, url)
    assert outcomes(document, None) == {
        "reachable": "failed", "key": "skipped", "models": "skipped", "unknown model": "skipped",
    }  # fmt: skip
    assert set(outcomes(document, A).values()) == {"skipped"}
    assert document["warnings"] == []
    assert "cannot connect to " in fails(capsys, url)


def test_missing_and_extra_models_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint(models=(A, C, "stranger")) as fake:
        document = report(capsys, fake.url)
        line = fails(capsys, fake.url)
    assert line == f"error: endpoint: models: missing: {B}; not in the registry: stranger"
    assert outcomes(document, B)["text"] == "failed"
    assert outcomes(document, B)["warm"] == "skipped"
    assert set(outcomes(document, C).values()) == {"ok"}


NO_KEY = "the endpoint does not require a key; expected one, because api_key_env"
A_KEY = "the endpoint requires a key; expected none, because api_key_env"
NONE_SET = "the endpoint requires a key; set LLAMA_API_KEY"
REFUSED = "the endpoint rejects the key in LLAMA_API_KEY"


@pytest.mark.parametrize(
    ("declared", "endpoint_key", "key", "reason"),
    [
        (True, "s3cret-s3cret", "s3cret-s3cret", ""),
        (True, "s3cret-s3cret", "", NONE_SET),
        (True, "s3cret-s3cret", "wr0ng", REFUSED),
        (True, "", "s3cret-s3cret", NO_KEY),
        (True, "", "", NO_KEY),
        (False, "", "", ""),
        (False, "", "s3cret-s3cret", ""),
        (False, "s3cret-s3cret", "s3cret-s3cret", A_KEY),
        (False, "s3cret-s3cret", "", NONE_SET),
    ],
)
def test_key_is_checked_against_its_declaration(
    declared: bool,
    endpoint_key: str,
    key: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if declared:
        declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", key)
    with FakeEndpoint(key=endpoint_key) as fake:
        code = main(["smoke", "--url", fake.url, "--json"])
    shown = capsys.readouterr()
    assert code == (1 if reason else 0)
    (check,) = [check for check in json.loads(shown.out)["checks"] if check["name"] == "key"]
    assert check["outcome"] == ("failed" if reason else "ok")
    assert check["reason"].startswith(reason)
    unusable = reason in (NONE_SET, REFUSED)
    assert (fake.asked == []) == unusable
    assert "s3cret" not in shown.out + shown.err
    assert "wr0ng" not in shown.out + shown.err
    if reason:
        assert shown.err.startswith(f"error: endpoint: key: {reason}")


def test_gateway_key_needs_no_declaration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    with FakeEndpoint(key="s3cret", front_end="gateway") as fake:
        document = report(capsys, fake.url)
    assert outcomes(document, None)["key"] == "ok"


@pytest.mark.parametrize("status", [302, 429, 500, 502])
def test_unclear_answer_to_the_key_check_fails(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = fakes.always(fakes.refuse(status, "try again"))
    with FakeEndpoint(faults={"/v1/chat/completions": busy}) as fake:
        line = fails(capsys, fake.url)
    assert line.startswith("error: endpoint: key: cannot tell whether the key is accepted: status")


@pytest.mark.parametrize("status", [401, 403])
def test_model_list_refused_with_the_right_key_fails(
    status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    refused = fakes.always(fakes.refuse(status, "not for you"))
    with FakeEndpoint(key="s3cret", faults={"/v1/models": refused}) as fake:
        line = fails(capsys, fake.url)
    assert line == f"error: endpoint: models: status {status}: not for you"


def test_echoed_key_is_redacted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")

    def echo(request: fakes.Request) -> Reply:
        return fakes.refuse(500, f"{'x' * 225} {request.headers['Authorization']} and more")

    with FakeEndpoint(key="s3cret", faults={"picture": echo}) as fake:
        line = fails(capsys, fake.url)
    assert "s3c" not in line


def test_key_that_a_header_cannot_carry_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret\n")
    line = fails(capsys, "http://127.0.0.1:1")
    assert "LLAMA_API_KEY contains whitespace" in line
    assert "s3cret" not in line


def test_endpoint_that_accepts_any_key_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")

    def any_key(request: fakes.Request) -> Reply:
        return fakes.refuse(404 if request.headers["Authorization"] else 401, "x")

    faults = {"/v1/chat/completions": any_key}
    with FakeEndpoint(key="s3cret", faults=faults) as fake:
        line = fails(capsys, fake.url)
    assert line == "error: endpoint: key: the endpoint accepts a wrong key; expected status 401"


def test_endpoint_whose_questions_need_no_key_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_key(monkeypatch)
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    open_to_all = fakes.always(fakes.refuse(404, "no router"))
    faults = {"/v1/chat/completions": open_to_all}
    with FakeEndpoint(key="s3cret", faults=faults) as fake:
        line = fails(capsys, fake.url)
    assert line == (
        "error: endpoint: key: GET /v1/models asks for a key, and POST /v1/chat/completions does "
        "not; expected both or neither"
    )


def test_undeclared_key_of_an_endpoint_that_was_not_recognised_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a gateway may have a key that no setting declares."""
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    with FakeEndpoint(key="s3cret", faults={"/running": fakes.reset}) as fake:
        assert main(["smoke", "--url", fake.url]) == 1
    # The loaded models are not known either, which is a warning.
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        "error: endpoint: key: the endpoint requires a key that no setting declares; whether it "
        "is a gateway, which may, is not known: the connection broke"
    )


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            fakes.always(fakes.refuse(500, "upstream command exited prematurely")),
            f"{B}: text: status 500: upstream command exited prematurely",
        ),
        (fakes.always(Reply(status=502, body="")), f"{B}: text: status 502: empty answer"),
        (fakes.hang, f"{B}: text: no complete answer within 1.5 s"),
        (fakes.reset, f"{B}: text: the connection broke before the answer was complete ("),
    ],
    ids=["load failure", "crash", "hang", "reset"],
)
def test_model_that_does_not_load_gets_one_request(
    fault: Fault, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    timeout = ("--timeout-s", "1.5" if fault is fakes.hang else "30")
    with FakeEndpoint(faults={f"{B} load": fault}) as fake:
        document = report(capsys, fake.url, *timeout)
        assert [request for request in fake.asked if request.startswith(B)] == [f"{B} text"]
        assert fails(capsys, fake.url, *timeout).startswith(f"error: {line}")
    (warm,) = [
        check for check in document["checks"] if (check["model"], check["name"]) == (B, "warm")
    ]
    assert warm["outcome"] == "skipped"
    assert warm["reason"].startswith("skipped because 'text' failed: ")
    assert set(outcomes(document, C).values()) == {"ok"}


def test_timeout_ends_only_the_checks_of_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint(faults={f"{B} schema": fakes.hang}) as fake:
        document = report(capsys, fake.url, "--timeout-s", "1.5")
    assert [*outcomes(document, B).values()] == ["ok"] * 5 + ["failed"] + ["skipped"] * 3
    assert set(outcomes(document, C).values()) == {"ok"}
    assert fake.loaded is None


def test_timeout_of_the_health_check_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeEndpoint(faults={"/health": fakes.hang}) as fake:
        line = fails(capsys, fake.url, "--timeout-s", "0.3")
    assert line == "error: endpoint: reachable: no complete answer within 0.3 s"


def test_endless_answer_ends_at_the_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    def drip(request: fakes.Request) -> None:
        request.send_response(200)
        request.end_headers()
        while not request.fake.over.wait(0.05):
            try:
                request.wfile.write(b" ")
            except OSError:
                return

    with FakeEndpoint(faults={f"{C} text": drip}) as fake:
        line = fails(capsys, fake.url, "--timeout-s", "1.5")
    assert line == f"error: {C}: text: no complete answer within 1.5 s"


@pytest.mark.parametrize(
    ("answers", "arguments", "line"),
    [
        (["fi", "wi"], ["--random-weights"], ""),
        (["fi", "fi"], ["--random-weights"], "a red and a blue picture get the same answer 'fi'"),
        (["fi", "wi"], [], "the answer to a red picture is 'fi'"),
        (["RED!", "It is blueish"], [], "the answer to a blue picture is 'It is blueish'"),
        (["Blue", "Red"], [], "the answer to a red picture is 'Blue'"),
    ],
)
def test_picture_check_compares_colours(
    answers: list[str],
    arguments: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replies = iter(answers)
    faults: dict[str, Fault] = {"picture": lambda _request: fakes.chat_reply(next(replies))}
    arguments = ["--model", B, *arguments]
    with FakeEndpoint(faults=faults) as fake:
        if line:
            assert fails(capsys, fake.url, *arguments).startswith(f"error: {B}: picture: {line}")
        else:
            assert main(["smoke", "--url", fake.url, *arguments]) == 0


def test_text_model_gets_no_picture() -> None:
    model = replace(REGISTRY[0], projector=None, image_max_tokens=None)
    with FakeEndpoint(models=(A,)) as fake:
        result, _ = ask(fake, (model,))
    assert f"{A} picture" not in fake.asked
    assert "picture" not in [check.name for check in result.checks]


def test_thinking_model_gets_more_tokens() -> None:
    model = replace(REGISTRY[0], reasoning="on")
    limits: list[int] = []

    def thinking(request: fakes.Request) -> Reply:
        limits.append(request.body["max_tokens"])
        return fakes.chat_reply("Hello.")

    with FakeEndpoint(models=(A,), faults={"text": thinking}) as fake:
        ask(fake, (model,))
    assert min(limits) > 1000
