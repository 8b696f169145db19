"""Pictures: how they are sent, their formats, and their tokens."""

from __future__ import annotations

import pytest

from ops.endpoint.pictures import data_uri, solid_picture
from tests.fakes.web_pictures import RED
from tests.real.contract.endpoint import (
    BRIEF,
    OTHER,
    WORDS,
    Endpoint,
    complaint,
    text_of,
    with_pictures,
)

BLUE = solid_picture("blue")
TOKENS_OF_TEXT = 40
"""More than the tokens of the question and its template."""


def test_two_pictures_get_two_answers(endpoint: Endpoint) -> None:
    """At temperature 0 only the pictures differ, so different answers show that it sees them."""
    answers = [
        text_of(endpoint.chat(with_pictures(picture), temperature=0)) for picture in (RED, BLUE)
    ]
    assert answers[0] != answers[1]


def test_a_picture_through_the_openai_client(endpoint: Endpoint) -> None:
    with endpoint.openai() as client:
        answer = client.chat.completions.create(
            model=OTHER.id,
            max_tokens=8,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": data_uri(RED)}},
                    ],
                }
            ],
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "BMP"])
def test_formats_that_are_read(endpoint: Endpoint, image_format: str) -> None:
    """The same picture costs the same tokens in each format; its media type is ignored."""
    picture = solid_picture("red", image_format=image_format)
    png = endpoint.chat(with_pictures(RED)).json()["usage"]["prompt_tokens"]
    for media_type in (f"image/{image_format.lower()}", "image/webp"):
        answer = endpoint.chat(with_pictures(data_uri(picture, media_type)))
        assert text_of(answer)
        assert answer.json()["usage"]["prompt_tokens"] == png


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(data_uri(solid_picture("red", image_format="WEBP"), "image/webp"), id="webp"),
        pytest.param(data_uri(solid_picture("red", image_format="TIFF"), "image/tiff"), id="tiff"),
        pytest.param(data_uri(RED[:40]), id="cut short"),
        pytest.param(data_uri(b"no picture"), id="no picture"),
        pytest.param("data:image/png;base64,", id="empty"),
    ],
)
def test_what_is_no_picture_is_refused(endpoint: Endpoint, address: str) -> None:
    answer = endpoint.chat(with_pictures(address))
    assert (answer.status_code, complaint(answer)) == (400, "Failed to load image or audio file")


def test_a_file_of_the_server_is_refused(endpoint: Endpoint) -> None:
    answer = endpoint.chat(with_pictures("file:///etc/passwd"))
    assert answer.status_code == 400
    assert "file:// URLs are not allowed" in complaint(answer)


def test_two_pictures_in_one_question(endpoint: Endpoint) -> None:
    costs = [
        endpoint.chat(with_pictures(*pictures)).json()["usage"]["prompt_tokens"]
        for pictures in ((), (RED,), (RED, BLUE))
    ]
    assert costs[2] - costs[1] == costs[1] - costs[0] > 0


def test_a_large_picture_has_bounded_cost(endpoint: Endpoint) -> None:
    """2000 x 2000 px would be 3906 tokens, more than this model's context."""
    large = solid_picture("red", size_px=2000)
    answer = endpoint.chat(with_pictures(large), model=OTHER)
    assert text_of(answer)
    assert OTHER.image_max_tokens is not None
    assert answer.json()["usage"]["prompt_tokens"] < OTHER.image_max_tokens + TOKENS_OF_TEXT


def test_a_small_picture_costs_at_least_the_models_minimum(endpoint: Endpoint) -> None:
    small = [
        endpoint.chat(with_pictures(RED), model=model).json()["usage"]["prompt_tokens"]
        for model in (OTHER, BRIEF)
    ]
    assert BRIEF.image_min_tokens is not None
    assert small[0] < BRIEF.image_min_tokens <= small[1]


def test_a_text_model_says_it_has_no_eyes(endpoint: Endpoint) -> None:
    answer = endpoint.chat(with_pictures(RED), model=WORDS)
    assert answer.status_code == 500
    assert complaint(answer).startswith("image input is not supported - hint:")


@pytest.mark.parametrize("path", ["/red.png", "/moved.png"])
def test_a_remote_picture_is_fetched(endpoint: Endpoint, web: str, path: str) -> None:
    here = text_of(endpoint.chat(with_pictures(RED), temperature=0, seed=1))
    assert text_of(endpoint.chat(with_pictures(web + path), temperature=0, seed=1)) == here


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("{web}/gone.png", 500, "Failed to download image"),
        ("{web}/words.txt", 400, "Failed to load image or audio file"),
        ("http://127.0.0.1:1/refused.png", 500, "error: cannot make GET request"),
    ],
)
def test_a_remote_picture_that_does_not_come(
    endpoint: Endpoint, web: str, address: str, status: int, message: str
) -> None:
    answer = endpoint.chat(with_pictures(address.format(web=web)))
    assert (answer.status_code, complaint(answer)) == (status, message)


def test_100_mib_is_too_much(endpoint: Endpoint) -> None:
    some, much = ("data:image/png;base64," + "A" * (mib << 20) for mib in (30, 101))
    assert endpoint.chat(with_pictures(some)).status_code == 400
    assert endpoint.chat(with_pictures(much)).status_code == 413
