"""Draw the guide's picture of the photo benchmark's report, from planted scores.

python -m benchmarks.photos.report_figure docs/figures/photo-report.png
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ops.commands.bench.report.page import render
from ops.commands.bench.statistics.summarise import summarise
from tests.ops.commands.bench.drawn_photos import write_drawn_photo
from tests.ops.commands.bench.report_runs import THREE, photos, planted_run
from tests.real.bench.devtools import Page, chromium

_PHOTOS = 103
_WIDTH, _HEIGHT, _GAP = 1060, 1480, 24


def write_report(folder: Path) -> Path:
    """Write the report of a run whose answers are planted."""
    _, quality = photos(_PHOTOS)
    places = np.argsort(np.argsort(-quality))
    shas = [
        write_drawn_photo(folder / "images", seed, spoiled=int(5 * place / _PHOTOS))
        for seed, place in enumerate(places)
    ]
    run = planted_run(THREE, *photos(_PHOTOS, images=shas))
    report = folder / "report.html"
    report.write_text(render(run, summarise(run), folder / "images"), encoding="utf-8")
    return report


def _part(page: Page, folder: Path, selector: str) -> Image.Image:
    top = page.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().y")
    top += page.evaluate("window.scrollY")
    clip = (0.0, max(0.0, float(top) - 28), float(_WIDTH), float(_HEIGHT))
    return Image.open(page.screenshot(folder / "part.png", clip=clip)).convert("RGB")


def _with_few_colours(picture: Image.Image) -> Image.Image:
    """Reduce to 256 colours, counting each colour once, so that small marks keep theirs."""
    pixels = np.asarray(picture).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    most = colours[np.argsort(-counts)[:20]]
    each_once = np.unique(pixels // 4 * 4, axis=0)[None].astype(np.uint8)
    chosen = Image.fromarray(each_once).quantize(236, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*chosen[: 236 * 3], *most.ravel().tolist()])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def main(arguments: list[str]) -> None:
    """Write the picture."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = write_report(folder)
        with chromium(program, folder / "profile") as page:
            page.show(scheme="light", width=_WIDTH)
            page.open(report)
            left = _part(page, folder, "header")
            page.show(scheme="dark", width=_WIDTH)
            page.open(report)
            right = _part(page, folder, "#disagree")
        both = Image.new("RGB", (2 * _WIDTH + _GAP, _HEIGHT), "white")
        both.paste(left, (0, 0))
        both.paste(right, (_WIDTH + _GAP, 0))
        both = both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)
        _with_few_colours(both).save(arguments[0], optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
