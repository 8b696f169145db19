"""What whoever opens a pull request writes changes nothing around it, and no secret gets out."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from llama_swap_config.errors import ConfigError
from ops.commands.plan.as_json import as_json
from ops.commands.plan.comparison import Comparison, compare
from ops.commands.plan.revision import Revision
from ops.commands.plan.sections import document
from ops.commands.plan.side import Side
from ops.report.document import Document
from ops.report.markdown import COMMENT_BYTES, as_comment, as_markdown
from ops.report.on_terminal import show_plan
from ops.report.redaction import MARK, redact
from ops.report.safe_text import fenced, inline, lines, redacted_line, visible
from ops.terraform.synth import Synthesized
from tests.conftest import ROOT

HOSTILE = (
    "`code` ``` ```` ~~~",
    "</code></pre></details><h1>big</h1><img src=x onerror=alert(1)><!-- ",
    "a | b || c",
    "@everyone #1 owner/name#2 GH-3 0123456789abcdef0123456789abcdef01234567",
    "[text](https://example.org) ![x](http://x) <https://example.org> www.example.org",
    "*a* **b** _c_ __d__ ~~e~~ \\` \\| \\",
    "&lt;b&gt; &#60; &amp;",
    "line\nbreak\r\n\n# heading\n- item\n> quote\n    code\n---\n```\nfence",
    "\x1b[31mred\x1b]8;;http://x\x07link\x1b]8;;\x07 \x9b2J \x00 \x08",
    "abc\u202edef\u2066\u2069\u200b\u200d\ufeff\u00ad\u2028\u2029\u0301\u0489\u3164",
    "x" * 100_000,
    "a.-" * 33_000,
    "eyJ-" * 25_000,
    "token:'" * 15_000,
    "-----BEGIN " * 9_000,
    "`" * 5_000,
    "\U000e0041\ue000\ud7ff",
    "",
    " leading and trailing ",
    ":tada: $x^2$ {{ 7 * 7 }} ${{ secrets.X }}",
)
HARMLESS = "harmless"
SECRETS = (
    "sk-proj-abcdefghijklmnopqrstuvwxyz012345",
    "hf_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11ABCDEFG0abcdefghijkl_0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefGHIJKL",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
)
ASSIGNED = (
    ("password=hunter2!", "hunter2"),
    ("token: abc.def-123", "abc.def"),
    ('"api_key": "s3cret value"', "s3cret"),
    ("HF_TOKEN='abcdefgh'", "abcdefgh"),
    ("db_password => pw12345", "pw12345"),
    ("--api-key topsecret1", "topsecret1"),
    ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
    ("postgres://tf:s3cr%25et@db:5432/x", "s3cr"),
    ("https://user:hunter2@example.org/", "hunter2"),
    ("https://s3.example.org/p.png?X-Amz-Expires=9&X-Amz-Signature=5ec2e7d8", "5ec2e7d8"),
    ("https://blob.example.org/p.png?sv=1&sig=5ec2e7d8%3D", "5ec2e7d8"),
    ("https://storage.example.org/p.png?X-Goog-Credential=me%40example", "me%40example"),
    (
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
        "b3Blbn",
    ),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg", "MIIEvQ"),
)
KEPT = (
    "a" * 64,
    "ghcr.io/mostlygeek/llama-swap@sha256:" + "50c640b15d7914ba" * 4,
    "930f1e86dc4c1d6c0e9a7b3f5d2e4a6b8c0d1e2f",
    "image_max_tokens: 1024",
    '"token_embedding_bytes": 349627392',
    "automount_service_account_token: false",
    "max_token = 4096",
    "api_key: ${env.LLAMA_KEY}",
    "api_key: os.environ/LLAMA_SWAP_API_KEY",
    'export LLAMA_API_KEY="$${KEY_GATEWAY:?},$${KEY_OWNER:?}"',
    "postgres://terraform@postgresql.dbaas:5432/terraform",
    "--ctx-size 4096 -ctk f16",
    "the token of the hub is anonymous",
)


def rendered(markdown: str) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    return [
        token
        for outer in parser.parse(markdown)
        for token in (outer.children if outer.type == "inline" else [outer]) or ()
    ]


def structure(markdown: str) -> list[tuple[str, str]]:
    """Every tag, and the text that is not in code; what is in code is left out."""
    elements = []
    in_code = False
    for token in rendered(markdown):
        if token.type == "html_inline" and token.content in ("<code>", "</code>"):
            in_code = token.content == "<code>"
        if token.type == "fence":
            elements.append(("fence", token.info))
        elif token.type == "text" and in_code:
            continue
        elif token.type == "html_block":
            elements.append(
                (token.type, re.sub("<code>.*?</code>", "<code></code>", token.content))
            )
        else:
            elements.append((token.type, token.tag + token.content))
    assert not in_code
    return elements


def serving(document: dict[str, Any]) -> dict[str, Any]:
    """The Deployment of the serving pod."""
    deployments = document["resource"]["kubernetes_deployment_v1"].values()
    found: dict[str, Any]
    (found,) = (each for each in deployments if each["metadata"]["name"] == "llama-swap")
    return found


def side(text: str, *, production: dict[str, Any], change: bool) -> Side:
    """A synthesis and a registry in which every text that may be anything is this one."""
    synthesized = json.loads(json.dumps(production))
    if change:
        for config_map in synthesized["resource"]["kubernetes_config_map_v1"].values():
            if config_map["metadata"]["name"] == "llama-swap":
                config_map["data"]["llama-swap.yaml"] += f"\n{text}\n"
        deployment = serving(synthesized)
        pod = deployment["spec"]["template"]["spec"]
        pod["container"][0]["env"].append({"name": f"N {text}", "value": f"V {text}"})
        deployment["metadata"]["annotations"] = {f"K {text}": f"V {text}"}
    fields = {"id": f"m {text}", "description": text if change else "", "env": {f"E {text}": text}}
    digest = "a" if change else "b"
    file = {
        "role": "model",
        "repository": f"r {text}",
        "revision": f"main {text}",
        "name": f"n {text}",
        "quantisation": "Q4_K_M",
        "size_bytes": 2**30,
        "sha256": digest * 64,
    }
    fit = {
        "fits": True,
        "problem": None,
        "stand_ins": [f"s {text}"],
        "card": {"product": f"p {text}", "usable_mib": 100, "free_mib": 100},
        "models": [{"id": f"m {text}", "total_mib": 50.0, "spare_mib": 50.0}],
        "sets": [],
        "volume": {"needed_bytes": 2**30, "size_bytes": 2**31},
    }
    consumer = {"name": f"c {text}", "namespace": text if change else "", "models": [f"m {text}"]}
    return Side(
        synthesized=Synthesized(directory=ROOT, document=synthesized),
        problem=None,
        models=({"fields": fields, "files": [file]},),
        consumers=(consumer,),
        fit=fit,
    )


@pytest.fixture
def compared(production: dict[str, Any]) -> Any:
    def compared_with(text: str) -> Comparison:
        return compare(
            side(text, production=production, change=False),
            side(text, production=production, change=True),
            revision=Revision(commit="0" * 40, name=f"base {text}"),
            rate_mb_s=50,
        )

    return compared_with


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_stays_code(text: str) -> None:
    for before, after in (
        ("", ""),
        ("- ", "."),
        ("| a | b |\n|---|---|\n| ", " | c |"),
        ("**", "**"),
    ):
        shown, plain = (structure(before + inline(value) + after) for value in (text, HARMLESS))
        assert shown == plain
    assert len(inline(text)) < 2_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_stays_in_its_fence(text: str) -> None:
    whole = "\n".join(["before", "", *fenced(lines(text), "diff"), "", "after"])
    tokens = rendered(whole)
    assert [token.type for token in tokens] == [
        "paragraph_open", "text", "paragraph_close", "fence",
        "paragraph_open", "text", "paragraph_close",
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_do_not_change_the_structure_of_a_plan(text: str, compared: Any) -> None:
    # A text of several lines, or a long one, is counted instead of shown: by its length alone.
    hostile = text.replace("\n", " ") or HARMLESS
    same = "y" * len(hostile) if len(hostile) > 200 else HARMLESS
    shown, plain = (as_markdown(document(compared(value))) for value in (hostile, same))
    assert structure(shown) == structure(plain)
    assert len(shown) < 60_000
    assert "".join(shown.split("\n")).isprintable()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_terminal_gets_no_control_sequence(text: str, compared: Any) -> None:
    console = Console(file=io.StringIO(), width=120)
    show_plan(console, document(compared(text)))
    assert isinstance(console.file, io.StringIO)
    assert "".join(console.file.getvalue().split("\n")).isprintable()
    assert redacted_line(text).isprintable()


def test_invisible_characters_are_escaped() -> None:
    assert visible("a\x1b[31m\u202e\u200b\n") == r"a\x1b[31m\u202e\u200b\n"
    assert visible("Größe, 模型, модель") == "Größe, 模型, модель"


@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_is_redacted_anywhere(secret: str) -> None:
    for text in (secret, f"x {secret} y", f'"{secret}"', f"--env A={secret}"):
        assert secret not in redact(text)
        assert MARK in redact(text)


@pytest.mark.parametrize(("text", "secret"), ASSIGNED)
def test_a_password_is_redacted_by_its_name(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert secret not in redact(f"a: 1\n  {text}\nb: 2")


@pytest.mark.parametrize("text", KEPT)
def test_text_without_a_secret_is_kept(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_in_any_output(secret: str, compared: Any) -> None:
    comparison = replace(compared(secret), base_problem=f"{secret} is wrong")
    console = Console(file=io.StringIO(), width=300)
    show_plan(console, document(comparison))
    assert isinstance(console.file, io.StringIO)
    texts = (
        as_markdown(document(comparison)),
        as_comment(document(comparison)),
        json.dumps(as_json(comparison)),
        console.file.getvalue(),
        redacted_line(str(ConfigError(f"model: {secret}"))),
    )
    for text in texts:
        assert secret not in text
        assert secret[8:] not in text


def test_a_value_is_a_secret_by_the_name_of_its_variable(production: dict[str, Any]) -> None:
    sides = [side("x", production=production, change=False) for _ in range(2)]
    for revised, value in zip(sides, ("kept-quiet-1", "kept-quiet-2"), strict=True):
        container = serving(revised.document)["spec"]["template"]["spec"]["container"][0]
        container["env"].append({"name": "HF_TOKEN", "value": value})
    revision = Revision(commit="0" * 40, name="x")
    comparison = compare(*sides, revision=revision, rate_mb_s=50)
    (change,) = comparison.objects
    assert change.fields[0].kubernetes_path.endswith("env[HF_TOKEN].value")
    assert "kept-quiet" not in as_markdown(document(comparison)) + json.dumps(as_json(comparison))


def many(compared: Any, number: int) -> Document:
    """A plan in which so many models are added, each with long texts."""
    comparison = compared("x")
    fields = comparison.models[0].fields
    models = tuple(
        replace(comparison.models[0], id=f"model-{index}", fields=fields * 5)
        for index in range(number)
    )
    return document(
        replace(comparison, models=models, front_end=tuple(f"+{'`' * 900}" for _ in models))
    )


def test_a_comment_of_300_models_is_short_enough_and_well_formed(compared: Any) -> None:
    whole = many(compared, 300)
    comment = as_comment(whole)
    assert len(comment.encode()) < COMMENT_BYTES < len(as_markdown(whole).encode())
    assert comment.startswith(f"## {whole.title}\n\n**")
    assert "Shortened: the whole text is `plan.md` in the run's artifact." in comment
    assert comment.count("<details>") == comment.count("</details>") >= 1
    # The diff, least important of all, went down to its beginning before a single object did.
    assert comment.count("\n+```") == 8
    assert "annotations" in comment
    fences = [token for token in rendered(comment) if token.type == "fence"]
    assert len(fences) <= 1


@pytest.mark.parametrize("most_bytes", [2_000, 5_000, 20_000])
def test_a_comment_stays_below_any_limit(most_bytes: int, compared: Any) -> None:
    comment = as_comment(many(compared, 40), most_bytes)
    assert len(comment.encode()) < most_bytes
    assert "### " in comment or "<summary>" in comment


def test_a_short_plan_is_not_shortened(compared: Any) -> None:
    assert as_comment(document(compared("x"))) == as_markdown(document(compared("x")))
