"""The report file: its content, what it must not contain, and runs with few answers."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ops.commands.bench.report.chart import Chart
from ops.commands.bench.report.export import to_csv, to_json
from ops.commands.bench.report.forest import forest
from ops.commands.bench.report.on_terminal import show
from ops.commands.bench.report.page import render
from ops.commands.bench.report.standings import standings_of
from ops.commands.bench.report.thumbnails import MOST
from ops.commands.bench.results import Answer, Method, Photo, Run
from ops.commands.bench.summary import Summary
from ops.report.ops_command import ops_command
from ops.report.redaction import redact_all
from tests.conftest import ROOT
from tests.ops.commands.bench.drawn_photos import write_drawn_photo
from tests.ops.commands.bench.report_runs import THREE, models, photos, planted_run, summary_of

SECTIONS = (
    "models", "trade-off", "disagree", "how-sure", "more", "differences", "scores", "agree",
    "time", "failures", "best", "made-of",
)  # fmt: skip
NEED_A_JUDGEMENT = ("trade-off", "differences")
FOLDS = ("how-sure", "best", "made-of")
VOID = {"meta", "br", "wbr", "img", "input", "link", "hr"}
HOSTILE = (
    "<script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>.jpg',
    "line\nbreak\r\x00\x1b[31m.jpg",
    "\u202egpj.exe\u2066\u200f",
    "x" * 10_000 + ".jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "broken \udcff half.jpg",
    "",
    "</style></svg></title>.jpg",
)


class _Parsed(HTMLParser):
    """A document's elements; fails where one is left open or closed twice."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.charts: list[dict[str, Any]] = []
        self.sections: dict[str, str] = {}
        self.texts: list[str] = []
        self.shown = dict.fromkeys(SECTIONS, 0)
        """Charts, tables, cards and empty-section sentences, by section."""
        self._section = ""
        self._is_tick = False
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag in VOID:
            return
        self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("section", "details") and (values.get("id") or "") in SECTIONS:
            self._section = values["id"] or ""
        is_something = tag in ("figure", "table") or values.get("class") in ("absent", "name")
        if self._section and is_something:
            self.shown[self._section] += 1
        if tag == "figure":
            self.charts.append({"drawn": [], "table": "", "roles": [], "title": 0, "desc": 0})
        if "figure" in self.open and tag == "svg":
            self.charts[-1]["roles"].append(values.get("role"))
        if "figure" in self.open and tag in ("title", "desc") and self.open[-2] == "svg":
            self.charts[-1][tag] += 1
        if "figure" in self.open and tag == "text":
            self.charts[-1]["drawn"].append("")
            self._is_tick = values.get("class") == "tick"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        if self._section:
            self.sections[self._section] = self.sections.get(self._section, "") + data
        if not self.charts or "figure" not in self.open:
            return
        if "details" in self.open or "figcaption" in self.open:
            self.charts[-1]["table"] += f" {data}"
        elif self.open[-1] == "text" and not self._is_tick:
            self.charts[-1]["drawn"][-1] += data


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(images: Path) -> Run:
    shas = [write_drawn_photo(images, seed, width=160) for seed in range(40)]
    return planted_run(THREE, *photos(40, images=shas))


@pytest.fixture(scope="module")
def html(run: Run, images: Path) -> str:
    return render(run, summary_of(run), images)


def test_sections_are_in_reading_order(html: str) -> None:
    assert [
        values["id"] for _, values in _Parsed(html).elements if values.get("id") in SECTIONS
    ] == list(SECTIONS)
    parsed = _Parsed(html)
    assert parsed.headings[0] == 1
    assert parsed.headings.count(1) == 1
    steps = zip(parsed.headings, parsed.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)


def test_the_headline_comes_first_with_its_figures_and_the_caveats_fold(
    run: Run, images: Path
) -> None:
    summary = summary_of(run, headline="Take <b>it</b>", caveats=["But & yet."])
    html = render(run, summary, images)
    start = html.index("<h1>Take &lt;b&gt;it&lt;/b&gt;</h1>")
    figures = [html.index(f"<li>{figure}</li>") for figure in summary.verdict.figures]
    order = [start, *figures, html.index('<section id="models"'), html.index("But &amp; yet.")]
    assert order == sorted(order)
    assert html.index('<details class="fold" id="how-sure">') < html.index("But &amp; yet.")


def test_three_folds_are_closed(html: str) -> None:
    folds = [values for tag, values in _Parsed(html).elements if tag == "details"]
    assert not any("open" in values for values in folds)
    assert tuple(values["id"] for values in folds if "id" in values) == FOLDS


def test_the_report_runs_no_script_and_fetches_nothing(html: str) -> None:
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html
    assert "<script" not in html
    for tag, attributes in _Parsed(html).elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "form", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action", "srcset"):
                assert (value or "").startswith(("#", "data:image/webp;base64,"))
    assert not re.search(r"https?:|@import|url\(", html)


def test_every_chart_has_a_title_a_description_and_its_numbers_in_a_table(html: str) -> None:
    charts = _Parsed(html).charts
    assert len(charts) == 5
    for chart in charts:
        assert chart["roles"] == ["img", "img"]
        assert chart["title"] == chart["desc"] == 2
        shown = {
            number
            for drawn in chart["drawn"]
            for number in re.findall(r"[\u2212-]?\d+\.\d+", drawn)
        }
        in_table = set(re.findall(r"[\u2212-]?\d+\.\d+", chart["table"]))
        missing = {
            number
            for number in shown - in_table
            # A model's name may hold a number, and a long time is rounded.
            if number not in ("4.5",) and not any(cell.startswith(number) for cell in in_table)
        }
        assert missing == set()


def test_tables_name_their_rows_and_columns(html: str) -> None:
    heads = [attributes for tag, attributes in _Parsed(html).elements if tag == "th"]
    assert heads
    assert all(head.get("scope") in ("row", "col") for head in heads)


def test_ids_are_unique_and_every_reference_has_its_target(html: str) -> None:
    elements = _Parsed(html).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for name in ("aria-labelledby", "aria-describedby"):
            if name in attributes:
                assert attributes[name] in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids


def test_each_picture_is_in_the_file_once(html: str) -> None:
    pictures = re.findall(r"data:image/webp;base64,[\w+/=]+", html)
    shown = re.findall(r'<use href="#photo-\d+"', html)
    assert 0 < len(pictures) == len(set(pictures)) <= MOST
    assert len(shown) > len(set(shown)) == len(pictures)


def test_without_thumbnails_no_byte_of_a_picture_is_in_the_file(run: Run, images: Path) -> None:
    html = render(run, summary_of(run), images, thumbnails=False)
    assert "data:image" not in html
    assert "<image" not in html
    assert "<use" not in html
    assert "IMG_" in html


def test_photos_with_a_missing_or_broken_image_are_shown_by_name(
    run: Run, images: Path, tmp_path: Path
) -> None:
    for place, photo in enumerate(run.photos):
        content = (images / f"{photo.image_sha256}.jpg").read_bytes()
        if place % 3:
            (tmp_path / f"{photo.image_sha256}.jpg").write_bytes(
                content[: 200 if place % 2 else 0]
            )
    html = render(run, summary_of(run), tmp_path)
    assert "data:image" not in html
    assert html.count('class="card') > 20


def test_a_hostile_name_is_shown_as_text(run: Run, images: Path) -> None:
    named = [replace(photo, name=f"photo {place}") for place, photo in enumerate(run.photos)]
    hostile = [
        replace(photo, name=HOSTILE[place % len(HOSTILE)])
        for place, photo in enumerate(run.photos)
    ]

    def elements(all_photos: Sequence[Photo]) -> list[tuple[str, dict[str, str | None]]]:
        html = render(replace(run, photos=tuple(all_photos)), summary_of(run), images)
        assert "\u202e" not in html
        assert "\x1b" not in html
        assert "x" * 100 not in html
        assert "alert(1)</script>" not in html
        html.encode("utf-8")
        return [
            (tag, {**attributes, "aria-label": None if tag == "svg" else attributes.get("role")})
            for tag, attributes in _Parsed(html).elements
            if tag != "wbr"
        ]

    assert elements(hostile) == elements(named)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_models_answers_and_provenance_are_shown_as_text(
    run: Run, images: Path, text: str
) -> None:
    hostile = replace(
        run,
        source=text,
        provenance={"command": text, text: {text: text}, "list": [text]},
        models=tuple(replace(model, name=text, quantisation=text) for model in run.models),
        answers=tuple(
            replace(answer, raw=text) if answer.failure else answer for answer in run.answers
        ),
    )
    html = render(hostile, summary_of(hostile, headline=text, caveats=[text]), images)
    html.encode("utf-8")
    assert {tag for tag, _ in _Parsed(html).elements} <= {
        tag for tag, _ in _Parsed(render(run, summary_of(run, caveats=["x"]), images)).elements
    }


def test_random_weights_are_reported_first(run: Run, images: Path) -> None:
    random = replace(run, random_weights=True)
    page = render(random, summary_of(random), images)
    assert "<h1>No verdict: the weights are random</h1>" in page
    assert "random weights)</title>" in page
    assert "weights are random" not in render(run, summary_of(run), images)


def test_favourites_are_marked_by_more_than_colour(html: str) -> None:
    marked = html.count('class="card favourite"')
    assert 0 < marked == html.count("★ </span>your favourite")


@pytest.mark.parametrize(
    ("count", "planted", "judged"),
    [
        (0, THREE, True),
        (1, THREE, True),
        (1, THREE[:1], True),
        (2, THREE, False),
        (20, THREE[:1], True),
        (20, THREE, False),
        (20, models(12), True),
        (20, (), True),
    ],
)
def test_an_empty_section_says_why(
    tmp_path: Path, count: int, planted: Sequence[Any], judged: bool
) -> None:
    run = planted_run(planted, *photos(count, judged=judged))
    _says_something(render(run, summary_of(run), tmp_path))


def test_a_run_without_an_answer_has_a_report(tmp_path: Path) -> None:
    run = replace(planted_run(THREE, *photos(20)), answers=())
    html = render(run, summary_of(run), tmp_path)
    _says_something(html)
    assert "Nothing was asked yet" in html


def test_a_run_in_which_all_failed_shows_the_failures(tmp_path: Path) -> None:
    run = planted_run(THREE, *photos(20))
    failed = replace(
        run,
        answers=tuple(
            replace(answer, score=None, failure="no_label", raw="I am sorry.")
            for answer in run.answers
        ),
    )
    html = render(failed, summary_of(failed), tmp_path)
    _says_something(html)
    assert "I am sorry." in html
    assert "and 55 more" in html


def test_photos_that_could_not_be_prepared_are_failures(tmp_path: Path) -> None:
    some, quality = photos(12)
    broken = replace(some[0], image_sha256="", failure="image_unreadable")
    run = planted_run(THREE, (broken, *some[1:]), quality)
    parsed = _Parsed(render(run, summary_of(run), tmp_path))
    assert "could not be decoded" in parsed.sections["failures"]


def test_a_model_with_few_answers_is_not_ranked(tmp_path: Path) -> None:
    run = planted_run(THREE, *photos(20))
    lame = run.models[2].id
    run = replace(
        run,
        answers=tuple(
            replace(answer, score=None, failure="timeout")
            if answer.model == lame and place % 10
            else answer
            for place, answer in enumerate(run.answers)
        ),
    )
    summary = summary_of(run)
    assert lame not in summary.agreement.models
    html = render(run, summary, tmp_path)
    _says_something(html)
    assert "rank of the photo among 20" in _Parsed(html).sections["disagree"]
    assert f"{run.models[2].name} is not compared: it answered " in html


def _says_something(html: str) -> None:
    parsed = _Parsed(html)
    assert {"models", *FOLDS} <= set(parsed.sections)
    for name in set(parsed.sections) - {"how-sure"}:
        assert parsed.shown[name], f"{name} is empty"
    assert _no_numbers(html) == []


def _no_numbers(html: str) -> list[str]:
    """Find NaN and infinity in text and in the attributes of drawings.

    In the attributes a letter may follow: the next command of a path.
    """
    parsed = _Parsed(html)
    values = [
        value
        for _, attributes in parsed.elements
        for name, value in attributes.items()
        if value and name != "href"
    ]
    return [
        *(text for text in parsed.texts if re.search(r"(?<![a-z])(nan|inf)(?![a-z])", text)),
        *(value for value in values if re.search(r"(?<![a-z])(nan|inf)", value)),
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<td>nan</td>",
        "<td>nan to inf</td>",
        "<svg><text>(-inf)</text></svg>",
        '<svg><path d="M3 nanL4 5"></path></svg>',
        '<svg><path d="M1 2M3.0 nanh0"></path></svg>',
        '<svg><circle cx="inf"></circle></svg>',
        '<svg><rect style="fill-opacity:nan"></rect></svg>',
        '<svg><g transform="translate(nan 4)"></g></svg>',
    ],
)
def test_the_check_for_nan_finds_a_nan(html: str) -> None:
    assert len(_no_numbers(html)) == 1
    assert _no_numbers(html.replace("nan", "7").replace("inf", "8")) == []


def test_a_thousand_photos_stay_below_ten_megabytes(tmp_path: Path) -> None:
    """Noise compresses worst."""
    noise = np.random.default_rng(1).integers(0, 256, (768, 1024, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", "JPEG", quality=85)
    all_photos, quality = photos(1000)
    for photo in all_photos:
        (tmp_path / f"{photo.image_sha256}.jpg").hardlink_to(tmp_path / "noise.jpg")
    run = planted_run(models(12), all_photos, quality)
    html = render(run, summary_of(run), tmp_path)
    assert html.count("data:image/webp") == MOST
    assert len(html.encode()) < 10_000_000


def test_long_text_is_rendered_in_time(run: Run, images: Path) -> None:
    """CPU time: other tests may run beside this one."""
    long = replace(run, provenance={"prompt": "x_-" * 200_000, "command": "--" + "key-" * 100_000})
    started = time.process_time()
    render(long, summary_of(long), images, thumbnails=False)
    assert time.process_time() - started < 5


SECRETS = {
    "api_key": "hunter2hunter2",
    "nested": {"IMMICH_API_KEY": "hunter2hunter2", "authorization": "Bearer hunter2hunter2"},
    "command": "IMMICH_API_KEY=hunter2hunter2 ops bench --api-key hunter2hunter2 "
    "--key=hunter2hunter2",
    "argv": ["llama-server", "--api-key", "hunter2hunter2", "--port", "8080"],
    "url": "http://me:hunter2hunter2@photos.lan/?key=hunter2hunter2&size=preview",
    "header": "x-api-key: hunter2hunter2",
    "json": '{"api_key": "hunter2hunter2"}',
    "bearer": "curl -H 'Authorization: Bearer hunter2hunter2'",
}


def test_keys_are_redacted_everywhere(run: Run, images: Path) -> None:
    secret = replace(run, provenance=SECRETS, source="http://me:hunter2hunter2@photos.lan")
    summary = summary_of(secret)
    assert "hunter2" not in render(secret, summary, images)
    assert "hunter2" not in json.dumps(to_json(secret, summary))


def test_text_that_is_not_a_key_is_not_redacted() -> None:
    plain = {
        "labels": {"1": "one token each"},
        "tokens": {"1": 16},
        "top_logprobs": 200,
        "command": "python -m ops bench album --top-k 10 --window 30m",
        "rubric": "Answer with one token: a key moment, its secret is the light.",
        "url": "http://photos.lan:2283/album",
    }
    assert redact_all(plain) == plain


def test_both_colour_schemes_can_be_read() -> None:
    css = (ROOT / "ops/commands/bench/report/report.css").read_text()
    light, dark = (
        dict(re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    )
    for scheme in (light, dark):
        for paper in ("page", "panel"):
            for ink in ("ink", "soft", "accent", "m4", "bad"):
                assert _contrast(scheme[ink], scheme[paper]) >= 4.5
            for mark in ("m0", "m1", "m2", "m3", "m4", "m5"):
                assert _contrast(scheme[mark], scheme[paper]) >= 3
        for ink in ("ink", "soft"):
            assert _contrast(scheme[ink], scheme["margin"]) >= 4.5
        assert _contrast(scheme["good-ink"], scheme["good-page"]) >= 4.5
        for heat in ("m0", "m1"):
            cell = _mixed(scheme[heat], scheme["panel"], 0.5)
            assert _contrast(scheme["ink"], cell) >= 4.5


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _mixed(over: str, under: str, share: float) -> str:
    channels = zip(_channels(over), _channels(under), strict=True)
    return "#" + "".join(f"{round(share * top + (1 - share) * low):02x}" for top, low in channels)


def _contrast(text_colour: str, background: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    lights = []
    for colour in (text_colour, background):
        shares = [channel / 255 for channel in _channels(colour)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_a_photos_score_is_the_mean_over_its_anchors_if_all_were_answered(run: Run) -> None:
    three = run.photos[:3]
    asked = [
        _asked(run, photo, "anchored", f"1:anchor {anchor}", logit)
        for photo, logits in zip(three, ((1.0, 2.0), (3.0, None), (0.5, 0.7)), strict=True)
        for anchor, logit in enumerate(logits)
    ]
    assert _first_models_scores(run, three, asked) == pytest.approx([1.5, None, 0.6])


def test_a_pairs_score_counts_for_the_first_photo_and_against_the_second(run: Run) -> None:
    first, second, never = run.photos[:3]
    asked = [
        _asked(run, first, "pairwise", f"2:{second.image_sha256}", 1.5),
        _asked(run, second, "pairwise", f"2:{first.image_sha256}", -0.5),
    ]
    of_one, of_other, of_never = _first_models_scores(run, (first, second, never), asked)
    assert of_one is not None
    assert of_one > 0
    assert of_other == pytest.approx(-of_one)
    assert of_never is None


def test_the_later_of_two_answers_counts(run: Run) -> None:
    photo = run.photos[0]
    asked = [_asked(run, photo, "score", "", 2.0), _asked(run, photo, "score", "", 4.0)]
    assert _first_models_scores(run, (photo,), asked) == [4.0]


def _asked(run: Run, photo: Photo, method: Method, order: str, score: float | None) -> Answer:
    first = run.answers[0]
    key = replace(first.key, image_sha256=photo.image_sha256, method=method, order=order)
    return replace(first, key=key, score=score, failure=None if score is not None else "timeout")


def _first_models_scores(
    run: Run, some: tuple[Photo, ...], asked: list[Answer]
) -> list[float | None]:
    small = replace(run, photos=some, models=run.models[:1], answers=tuple(asked))
    standings = standings_of(small, summary_of(small))
    return [place.score for place in standings.places[run.models[0].id]]


def test_the_rubric_method_shows_each_criterion(run: Run) -> None:
    answers = tuple(
        replace(
            answer,
            key=replace(answer.key, method="rubric"),
            criteria={}
            if answer.score is None
            else {"<light>": answer.score - 0.5, "=sharp": 4.25},
        )
        for answer in run.answers
    )
    by_rubric = replace(run, answers=answers)
    html = render(by_rubric, summary_of(by_rubric), Path(), thumbnails=False)
    assert "criterion by criterion" in html
    assert '<th scope="row">&lt;light&gt;</th>' in html
    assert "=sharp 4.2" in html
    header, *rows = csv.reader(io.StringIO(to_csv(by_rubric, summary_of(by_rubric)), newline=""))
    column = header.index("qwen3vl-8b =sharp")
    assert {row[column] for row in rows} == {"4.25"}
    assert "By criterion" not in render(run, summary_of(run), Path(), thumbnails=False)


def test_csv_has_one_row_per_photo_and_no_formula(run: Run) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", 'a,b\n"c', "\uff1d1", "broken \udcff"]
    hostile = replace(
        run,
        photos=tuple(
            replace(photo, name=names[place % len(names)], rating=-1)
            for place, photo in enumerate(run.photos)
        ),
    )
    text = to_csv(hostile, summary_of(hostile))
    text.encode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(run.photos)
    assert [row["name"][0] for row in rows[:8]] == ["'"] * 6 + ["a", "'"]
    assert rows[6]["name"] == 'a,b\n"c'
    assert {row["rating"] for row in rows} == {"-1"}
    first = {
        answer.key.image_sha256: answer for answer in run.answers if answer.model == "qwen3vl-8b"
    }
    for row, photo in zip(rows, run.photos, strict=True):
        assert float(row["qwen3vl-8b score"]) == pytest.approx(
            first[photo.image_sha256].score, abs=1e-4
        )
    failed = [row for row in rows if row["minicpm-v-4-5 failure"]]
    assert len(failed) == 4
    assert all(row["minicpm-v-4-5 score"] == "" for row in failed)


@pytest.mark.parametrize("first", ["\t", "\r", "\n"])
def test_csv_text_after_a_tab_or_a_new_line_is_no_formula(run: Run, first: str) -> None:
    """Some spreadsheets drop it and compute the rest, which need not begin with =."""
    photos = tuple(replace(photo, name=f"{first}DDE") for photo in run.photos)
    named = replace(run, photos=photos)
    rows = csv.DictReader(io.StringIO(to_csv(named, summary_of(named)), newline=""))
    assert {row["name"] for row in rows} == {f"'{first}DDE"}


def test_the_terminal_shows_what_the_page_shows(tmp_path: Path, update_golden: bool) -> None:
    shown = []
    for some in (photos(300), photos(40), photos(40, judged=False)):
        run = planted_run(THREE, *some)
        summary = summary_of(run)
        screen = io.StringIO()
        show(Console(file=screen, width=100), summary)
        shown.append(screen.getvalue())
        page = unescape(render(run, summary, tmp_path))
        verdict = summary.verdict
        for text in (
            verdict.headline,
            *verdict.figures,
            *(step.command for step in verdict.steps),
        ):
            assert text in " ".join(shown[-1].split())
            assert text in page
    # The command begins with this environment's Python.
    text = "".join(shown).replace(ops_command(""), "python -m ops ")
    path = ROOT / "tests/golden/bench-report.txt"
    if update_golden:
        path.write_text(text)
    assert text == path.read_text()


def test_the_heat_map_does_not_call_strong_colours_dark(html: str) -> None:
    """In the dark scheme a strong colour is a light one."""
    assert "darker" not in _Parsed(html).sections["agree"]


@pytest.mark.parametrize("judged", [True, False])
def test_a_bar_counts_favourites_only_if_they_are_known(tmp_path: Path, judged: bool) -> None:
    run = planted_run(THREE, *photos(30, judged=judged))
    text = _Parsed(render(run, summary_of(run), tmp_path)).sections["scores"]
    assert re.search(r"\d photos?", text)
    assert (re.search(r"\d of them favourites", text) is not None) is judged


def test_the_labels_of_a_narrow_forest_plot_stay_within_it() -> None:
    """Zero is at its left end, where all differences are large; a letter is about 6.4 wide."""
    run = planted_run(THREE, *photos(100))
    chart = forest(summary_of(run))
    assert isinstance(chart, Chart)
    (middle,) = re.findall(r'<text x="([\d.]+)" y="14"[^>]*>±0.05 does not', chart.drawings[1])
    half = 6.4 * len("±0.05 does not matter") / 2
    assert half <= float(middle) <= 340 - half


def test_no_line_of_a_narrow_forest_plot_crosses_its_text() -> None:
    run = planted_run(THREE, *photos(100))
    chart = forest(summary_of(run))
    assert isinstance(chart, Chart)
    narrow = chart.drawings[1]
    lines = [
        (float(top), float(end))
        for top, end in re.findall(
            r'd="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)" class="(?:axis|grid)"', narrow
        )
    ]
    texts = [float(y) for y in re.findall(r'<text x="10" y="([\d.]+)"', narrow)]
    assert len(lines) >= len(texts) == 6
    assert not [1 for top, end in lines for y in texts if top < y and y - 10 < end]


def test_a_tiny_probability_is_not_shown_as_zero(run: Run, images: Path) -> None:
    summary = summary_of(run)
    sure = tuple(replace(difference, p=1e-9, p_holm=0.02) for difference in summary.differences)
    html = render(run, replace(summary, differences=sure), images, thumbnails=False)
    assert "<td>below 0.001</td>" in html
    assert "<td>0.000</td>" not in html


def test_json_ranks_the_highest_score_first(run: Run) -> None:
    summary = summary_of(run)
    broken: Summary = replace(summary, margin=float("nan"))
    document = json.loads(json.dumps(to_json(run, broken), allow_nan=False))
    assert document["summary"]["margin"] is None
    places = [photo["models"]["qwen3vl-8b"] for photo in document["photos"]]
    ranked = sorted((place for place in places if place["rank"]), key=lambda place: place["rank"])
    scores = [place["score"] for place in ranked]
    assert scores == sorted(scores, reverse=True)
    assert ranked[0]["rank"] == 1
