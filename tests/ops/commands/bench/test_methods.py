"""The request of each method, and the reading of its answer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest

from ops.commands.bench.asking.label_logprobs import expected, label_logprobs
from ops.commands.bench.asking.methods import Prompt, prompt_of
from ops.commands.bench.asking.rubric import DEFAULT_RUBRIC, as_document, read_rubric, rubric_of
from ops.commands.bench.asking.schedule import of_anchors, of_pairs
from ops.commands.bench.results import Failure, Method
from ops.errors import OpsError

RUBRIC = read_rubric()
SCORE = prompt_of("score", RUBRIC)
COMPACT = prompt_of("rubric", RUBRIC)


def token(text: str, **logprobs: float) -> dict[str, Any]:
    shown = [
        {"id": number, "token": label.removeprefix("_"), "logprob": value}
        for number, (label, value) in enumerate(logprobs.items())
    ]
    return {"token": text, "logprob": -1.0, "top_logprobs": shown}


def answer(*tokens: dict[str, Any], **choice: Any) -> dict[str, Any]:
    text = "".join(entry["token"] for entry in tokens)
    body = {
        "message": {"content": text},
        "finish_reason": "length",
        "logprobs": {"content": list(tokens)},
    }
    return {"choices": [body | choice]}


def parts_of(body: dict[str, Any]) -> list[str]:
    """The role of a request's first message and the types of its parts, in order."""
    content = body["messages"][1]["content"]
    return [body["messages"][0]["role"], *(part["type"] for part in content)]


def test_the_fixed_text_comes_first_and_the_photo_last() -> None:
    for prompt in (SCORE, COMPACT):
        body = prompt.body("m", [b"jpeg"])
        assert parts_of(body) == ["system", "text", "image_url"]
        assert body["messages"][1]["content"][-1]["image_url"]["url"] == (
            "data:image/jpeg;base64,anBlZw=="
        )
        assert (body["temperature"], body["logprobs"]) == (0, True)
        assert "stream" not in body


def test_grammar_and_max_tokens_allow_only_labels() -> None:
    assert SCORE.body("m", [b""])["max_tokens"] == 1
    assert SCORE.grammar == 'root ::= label\nlabel ::= "1" | "2" | "3" | "4" | "5"'
    assert COMPACT.body("m", [b""])["max_tokens"] == len(RUBRIC.criteria)
    assert COMPACT.grammar.startswith("root ::= label label label label label\n")


def test_a_pair_shows_both_photos_and_asks_at_the_end() -> None:
    for method in ("anchored", "pairwise"):
        body = prompt_of(method, RUBRIC).body("m", [b"first", b"second"])
        assert parts_of(body) == ["system", "text", "image_url", "text", "image_url", "text"]
        assert body["grammar"].endswith('label ::= "A" | "B"')


def test_the_score_is_the_expectation_over_the_labels_only() -> None:
    """Half of the probability belongs to other words: it is excluded from the score."""
    shares = {"_1": 0.1, "_4": 0.3, "_5": 0.1}
    logprobs = {label: math.log(share) for label, share in shares.items()}
    reading = SCORE.read(answer(token("4", **logprobs, _The=math.log(0.5))))
    assert reading.failure is None
    assert reading.score == pytest.approx(0.2 * 1 + 0.6 * 4 + 0.2 * 5)
    assert reading.mass == pytest.approx(0.5)
    variance = 0.2 * 2.6**2 + 0.6 * 0.4**2 + 0.2 * 1.4**2
    assert reading.spread == pytest.approx(math.sqrt(variance))
    assert set(reading.labels) == {"1", "4", "5"}


def test_labels_that_are_very_unlikely_still_have_an_order() -> None:
    values = {"1": 1.0, "2": 2.0}
    expectation = expected({"1": -900.0, "2": -900.0}, values)
    assert expectation.score == pytest.approx(1.5)
    assert expectation.mass == 0.0


def test_labels_of_equal_text_are_told_apart_by_token() -> None:
    shown = {
        "top_logprobs": [
            {"id": 7, "token": "1", "logprob": -1.0},
            {"id": 52, "token": "1", "logprob": -3.0},
        ]
    }
    assert label_logprobs(shown, ["1"], {"1": 52}) == {"1": -3.0}
    assert label_logprobs(shown, ["1"]) == {"1": -1.0}


def test_each_criterion_has_a_value_and_their_mean_is_the_score() -> None:
    tokens = [token(digit, **{f"_{digit}": math.log(0.8)}) for digit in "12345"]
    reading = COMPACT.read(answer(*tokens))
    assert reading.criteria == pytest.approx(
        dict(zip(RUBRIC.criteria, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))
    )
    assert reading.score == pytest.approx(3)
    assert reading.mass == pytest.approx(0.8)
    assert reading.labels["light=2"] == pytest.approx(math.log(0.8))


def test_a_pair_gives_the_logit_of_the_first_and_an_anchor_that_of_the_second() -> None:
    reply = answer(token("A", A=-0.5, B=-2.0))
    assert prompt_of("pairwise", RUBRIC).read(reply).score == pytest.approx(1.5)
    assert prompt_of("anchored", RUBRIC).read(reply).score == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("failure", "document"),
    [
        ("cut", answer(token("4", _4=-0.1), finish_reason=None)),
        ("empty", answer(finish_reason="stop")),
        ("no_logprobs", answer(token("4"), logprobs=None)),
        ("no_label", answer(token("4", _The=-0.1))),
        ("invalid_answer", answer(token("The", _4=-0.1))),
        ("invalid_answer", {"choices": []}),
        ("invalid_answer", ["nothing"]),
        ("invalid_answer", answer(token("4", _4=-0.1), message={"content": 4})),
        ("out_of_range", answer(token("7", _4=-0.1))),
    ],
)
def test_an_unusable_answer_has_a_failure_class(failure: Failure, document: Any) -> None:
    reading = SCORE.read(document)
    assert (reading.failure, reading.score) == (failure, None)


def test_a_compact_rubric_that_ends_too_early_is_truncated() -> None:
    tokens = [token(digit, _3=-0.1) for digit in "333"]
    assert COMPACT.read(answer(*tokens)).failure == "truncated"
    assert COMPACT.read(answer(*tokens, finish_reason="stop")).failure == "invalid_answer"


def test_a_pair_with_one_label_has_no_score() -> None:
    assert prompt_of("pairwise", RUBRIC).read(answer(token("A", A=-0.5))).failure == "no_label"


def test_every_word_that_is_sent_is_part_of_the_prompts_hash() -> None:
    document = as_document(RUBRIC)
    hashes = {SCORE.sha256, COMPACT.sha256}
    for change in (
        {"system": "Be strict."},
        {"question": "How good is it?"},
        {"labels": [*document["labels"][:4], document["labels"][4] | {"value": 9}]},
    ):
        hashes.add(prompt_of("score", rubric_of(document | change, where="it")).sha256)
    assert len(hashes) == 5
    other_pair = rubric_of(document | {"pair_question": "A or B?"}, where="it")
    assert prompt_of("score", other_pair).sha256 == SCORE.sha256
    assert other_pair.sha256 != RUBRIC.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [{"label": "1"}]}, "labels is"),
        ({"labels": [{"label": "1"}, {"label": "1"}]}, "label '1' appears twice"),
        ({"labels": [{"label": "1"}, {"label": 'x" | "y'}]}, "a digit or one plain word"),
        ({"labels": [{"label": "1"}, {"label": 2}]}, "a digit or one plain word"),
        ({"labels": [{"label": "1", "value": 2}, {"label": "2", "value": 1}]}, "the values are"),
        (
            {"labels": [{"label": "1", "value": True}, {"label": "2"}]},
            "the value of '1' is True; expected a number",
        ),
        ({"labels": [{"label": "1", "weight": 2}, {"label": "2"}]}, "label 1 is"),
        ({"system": ""}, "system is ''"),
        ({"question": None}, "question is missing"),
        ({"system": "x" * 9000}, "expected a text of 1 to 8000 characters"),
        ({"criteria": {"Sharp!": "x"}}, "criterion is 'Sharp!'"),
        ({"criteria": ["sharp"]}, "criteria is ['sharp']"),
        ({"labls": []}, "has the field 'labls'; expected system"),
    ],
)
def test_a_wrong_rubric_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OpsError) as refused:
        rubric_of(as_document(RUBRIC) | change, where="the rubric r.toml")
    assert str(refused.value).startswith("the rubric r.toml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_or_broken_rubric_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    with pytest.raises(OpsError, match=r"r\.toml cannot be read \(No such file or directory\)"):
        read_rubric(path)
    path.write_text("system = ")
    with pytest.raises(OpsError, match=r"r\.toml is not TOML"):
        read_rubric(path)
    path.write_bytes(b"\xff")
    with pytest.raises(OpsError, match=r"r\.toml is not TOML"):
        read_rubric(path)


def test_a_rubric_without_criteria_has_no_rubric_method() -> None:
    plain = rubric_of(as_document(RUBRIC) | {"criteria": {}}, where="it")
    with pytest.raises(OpsError, match="has no \\[criteria\\]"):
        prompt_of("rubric", plain)
    assert prompt_of("score", plain) == SCORE


def test_the_repositorys_rubric_is_read_again_as_it_was_written() -> None:
    document = json.loads(json.dumps(as_document(RUBRIC)))
    assert rubric_of(document, where="it") == RUBRIC
    assert read_rubric(DEFAULT_RUBRIC).sha256 == RUBRIC.sha256


def test_every_method_has_a_prompt() -> None:
    prompts: list[Prompt] = [prompt_of(method, RUBRIC) for method in get_args(Method)]
    assert len({prompt.sha256 for prompt in prompts}) == len(get_args(Method))
    assert [prompt.images for prompt in prompts] == [1, 1, 2, 2]


def test_a_pair_is_asked_in_both_orders_and_every_photo_is_in_one_early() -> None:
    shortlist = [f"image {number}" for number in range(20)]
    units = of_pairs(shortlist, pairs_per_photo=5, seed=3)
    assert len(units) == 50
    for there, back in units:
        assert there.images == back.images[::-1]
        assert there.image_sha256 == there.images[0]
    assert len({frozenset(there.images) for there, _ in units}) == 50
    assert {image for there, _ in units[:20] for image in there.images} == set(shortlist)
    assert of_pairs(shortlist, pairs_per_photo=5, seed=3) == units
    assert of_pairs(shortlist, pairs_per_photo=5, seed=4) != units


def test_two_photos_are_one_pair() -> None:
    assert len(of_pairs(["a", "b"], pairs_per_photo=5, seed=1)) == 1


def test_an_anchor_comes_first_and_stays_for_a_block_of_photos() -> None:
    images = [f"image {number}" for number in range(12)]
    first, second = of_anchors(images, images[:3])
    assert [question.images[0] for question in first] == [
        anchor for anchor in images[:3] for _ in range(10)
    ]
    assert [question.image_sha256 for question in first[:10]] == images[:10]
    keys = {question.key("anchored", "p", "m") for question in (*first, *second)}
    assert len(keys) == 12 * 3
    assert {key.order for key in keys} == {f"1:{anchor}" for anchor in images[:3]}
