"""The report in a real browser: it loads nothing, and it is accessible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

from ops.commands.bench.report.page import render
from ops.machine.node import packages_installed
from tests.ops.commands.bench.drawn_photos import write_drawn_photo
from tests.ops.commands.bench.report_runs import THREE, models, photos, planted_run, summary_of
from tests.real.bench.devtools import Page, chromium

AXE = Path("node_modules/axe-core/axe.min.js")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDE, PHONE = 1100, 390
HEIGHT = 844
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
TEXTS = """
const shown = [...document.querySelectorAll('body *')].filter(element =>
  [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) &&
  !element.closest('style, title, desc') && element.checkVisibility({opacityProperty: true}) &&
  element.getBoundingClientRect().width > 1);
"""
"""The elements with a text of their own that a reader sees."""
CLIPPED = """
const boxOf = element => {
  const range = document.createRange();
  range.selectNodeContents(element);
  return range.getBoundingClientRect();
};
shown.filter(element => !element.closest('.scroll')).filter(element => {
  const text = boxOf(element);
  if (text.left < -0.5 || text.right > WIDTH + 0.5) return true;
  for (let at = element; at !== document.body; at = at.parentElement) {
    const box = at.getBoundingClientRect();
    if (getComputedStyle(at).overflowX !== 'visible' && !(at instanceof SVGElement) &&
        (text.left < box.left - 1 || text.right > box.right + 1)) return true;
  }
  return false;
}).map(element => element.outerHTML.slice(0, 200))
"""
"""Texts that leave the page, or a box that hides what leaves it; a table may scroll."""
CONTRAST = """
const light = colour => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map(channel => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return getComputedStyle(document.body).backgroundColor;
};
shown.map(element => {
  const style = getComputedStyle(element);
  const ink = element instanceof SVGElement ? style.fill : style.color;
  const pair = [light(ink), light(behind(element))].sort((a, b) => b - a);
  const large = parseFloat(style.fontSize) >= 24 ||
    (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  return [(pair[0] + 0.05) / (pair[1] + 0.05), large ? 3 : 4.5, element.outerHTML.slice(0, 160)];
})
"""
"""WCAG 2.2's contrast ratio of each text, and the least one that AA allows."""
NOISY = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium is installed (Debian's package chromium)")
    with chromium(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    shas = [
        write_drawn_photo(folder / "images", seed, width=256, spoiled=seed % 5)
        for seed in range(60)
    ]
    run = planted_run(THREE, *photos(60, images=shas))
    html = render(run, summary_of(run), folder / "images")
    (folder / "report.html").write_text(html, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve models with hostile names, and no judgement of the owner."""
    folder = tmp_path_factory.mktemp("crowded")
    some, quality = photos(40, judged=False)
    names = ("<b>\n</b>", "x" * 10_000, "\u202egpj.exe", "")
    named = tuple(
        replace(model, name=names[place % len(names)]) for place, model in enumerate(some)
    )
    run = planted_run(models(12), named, quality)
    (folder / "report.html").write_text(
        render(run, summary_of(run), folder, thumbnails=False), encoding="utf-8"
    )
    return folder / "report.html"


def test_the_page_sends_no_request_and_logs_no_error(page: Page, report: Path) -> None:
    page.show(scheme="light", width=WIDE)
    page.open(report)
    page.evaluate(OPEN_ALL)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    asked = [event["request"]["url"] for event in page.saw("Network.requestWillBeSent")]
    assert asked[0] == report.as_uri()
    assert all(url.startswith("data:image/webp") for url in asked[1:])
    assert [event for event in page.events if event["method"] in NOISY] == []


def test_the_content_security_policy_blocks_fetch(page: Page, report: Path) -> None:
    page.open(report)
    reached = page.evaluate(
        "fetch('data:text/plain,x').then(() => 'reached', () => 'stopped')",
    )
    assert reached == "stopped"


def test_every_picture_is_drawn(page: Page, report: Path) -> None:
    page.show(scheme="light", width=WIDE)
    page.open(report)
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg.photo use')].map(use => use.getBBox().width)"
    )
    assert len(sizes) > 30
    assert all(size > 0 for size in sizes)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_axe_finds_nothing(
    page: Page, report: Path, crowded: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    packages = packages_installed()
    if packages is None:
        pytest.skip("axe-core is not installed (make cdktf)")
    axe = (packages / AXE).read_text(encoding="utf-8")
    for path in (report, crowded):
        page.show(scheme=scheme, width=width)
        page.open(path)
        # Closed tables are read too.
        world = page.isolated_world()
        page.evaluate(OPEN_ALL, world)
        page.evaluate(axe, world)
        violations: list[dict[str, Any]] = page.evaluate(
            "axe.run(document).then(found => found.violations.map(each => "
            "({id: each.id, nodes: each.nodes.map(node => node.html)})))",
            world,
        )
        assert violations == []
        assert page.evaluate("axe.run(document).then(found => found.passes.length)", world) > 15


@pytest.mark.parametrize("width", [WIDE, PHONE, 320])
def test_no_width_needs_scrolling_sideways(
    page: Page, report: Path, crowded: Path, width: int
) -> None:
    for path in (report, crowded):
        page.show(scheme="light", width=width)
        page.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = page.evaluate(
            "[...document.querySelectorAll('.drawing')].filter(each => each.checkVisibility())"
            ".map(each => each.getBoundingClientRect().right)"
        )
        assert len(shown) >= 3
        assert all(right <= width for right in shown)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_no_text_is_clipped_and_each_can_be_read(
    page: Page, report: Path, crowded: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    for path in (report, crowded):
        page.show(scheme=scheme, width=width)
        page.open(path)
        page.evaluate(OPEN_ALL)
        world = page.isolated_world()
        clipped = CLIPPED.replace("WIDTH", str(width))
        assert page.evaluate(f"{{{TEXTS} {clipped}}}", world) == []
        contrasts = page.evaluate(f"{{{TEXTS} {CONTRAST}}}", world)
        assert len(contrasts) > 200
        assert [text for text in contrasts if text[0] < text[1]] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_headline_and_its_figures_are_seen_first_on_a_phone(
    page: Page, report: Path, scheme: Literal["light", "dark"]
) -> None:
    page.show(scheme=scheme, width=PHONE, height=HEIGHT)
    page.open(report)
    for shown in ("h1", ".figures"):
        box = f"document.querySelector('{shown}').getBoundingClientRect()"
        assert 0 < page.evaluate(f"{box}.top") < page.evaluate(f"{box}.bottom") <= HEIGHT


def test_what_is_not_folded_is_read_in_two_minutes(page: Page, report: Path) -> None:
    """At 220 words a minute."""
    page.show(scheme="light", width=WIDE)
    page.open(report)
    assert page.evaluate("document.body.innerText.split(/\\s+/).length") <= 2 * 220


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_fold_opens_by_keyboard(page: Page, report: Path, key: str) -> None:
    page.show(scheme="light", width=PHONE)
    page.open(report)
    forest = "document.querySelector('#differences').checkVisibility()"
    assert page.evaluate(forest) is False
    page.evaluate("document.querySelector('#how-sure > summary').focus()")
    code = {"Enter": 13, " ": 32}[key]
    text = {"Enter": "\r", " ": " "}[key]
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            windowsVirtualKeyCode=code,
            **({"text": text} if kind == "keyDown" else {}),
        )
    assert page.evaluate(forest) is True


def test_text_of_a_chart_is_large_enough_on_a_phone(page: Page, report: Path) -> None:
    page.show(scheme="light", width=PHONE)
    page.open(report)
    heights = page.evaluate(
        "[...document.querySelectorAll('.narrow text')].filter(each => each.textContent)"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= 11


def test_every_control_can_be_reached_by_keyboard(page: Page, report: Path) -> None:
    page.show(scheme="light", width=WIDE)
    page.open(report)
    page.evaluate(OPEN_ALL)
    expected = page.evaluate(
        "[...document.querySelectorAll('a[href], summary, [tabindex]')]"
        ".filter(each => each.checkVisibility({contentVisibilityAuto: true})).length"
    )
    reached = 0
    for _ in range(expected):
        for kind in ("keyDown", "keyUp"):
            page.call(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        reached += page.evaluate("document.activeElement !== document.body")
    assert expected > 15
    assert reached == expected


def test_light_and_dark_schemes_have_different_colours(
    page: Page, report: Path, tmp_path: Path
) -> None:
    lights = []
    for scheme in SCHEMES:
        page.show(scheme=scheme, width=WIDE)
        page.open(report)
        picture = page.screenshot(tmp_path / f"{scheme}.png", clip=(0, 0, WIDE, 900))
        with Image.open(picture) as image:
            lights.append(image.convert("L").resize((1, 1)).getpixel((0, 0)))
    light, dark = lights
    assert isinstance(light, int) and isinstance(dark, int)  # noqa: PT018 - for mypy.
    assert light > 200
    assert dark < 60


def test_print_is_light_complete_and_not_too_long(
    page: Page, report: Path, tmp_path: Path
) -> None:
    page.show(scheme="dark", width=WIDE)
    page.open(report)
    page.call("Emulation.setEmulatedMedia", media="print")
    try:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        wide = page.evaluate("document.querySelector('.wide').checkVisibility()")
        folded = page.evaluate(
            "[...document.querySelectorAll('.fold')].map(fold => "
            "fold.lastElementChild.checkVisibility({contentVisibilityAuto: true}))"
        )
        numbers = page.evaluate("document.querySelector('.numbers').checkVisibility()")
    finally:
        page.call("Emulation.setEmulatedMedia", media="")
    assert background == "rgb(255, 255, 255)"
    assert wide is True
    assert folded == [True, True, True]
    assert numbers is False
    content = page.pdf(tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 3 <= content.count(b"/Type /Page\n") <= 20
