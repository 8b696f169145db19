"""Measure what `ops bench` adds to the server's time: preparing, sending, reading, storing.

    python -m benchmarks.photos.client -n 200 --layers 24

More layers make a tiny vision model slow, yet still faster than a real one on a GPU (3 to 6 s per
photo), so the ratio is an upper bound. llama-server's own time, from its answer, is that of prompt
and generation; it excludes the decoding of the picture, which counts against us here.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from rich.console import Console

from benchmarks.swap.tiny_store import make_store
from ops.commands.bench.album.sample_pictures import write_sample_pictures
from ops.commands.bench.answers import Journal, create, read_answers
from ops.commands.bench.asking import schedule
from ops.commands.bench.asking.exchange import Asker
from ops.commands.bench.asking.measure import Measurement
from ops.commands.bench.asking.methods import prompt_of
from ops.commands.bench.asking.plan import Plan
from ops.commands.bench.asking.progress import Display
from ops.commands.bench.asking.rubric import read_rubric
from ops.commands.bench.results import Answer, ModelRun
from ops.commands.serve import run as serve
from ops.endpoint.api_key import api_key
from ops.endpoint.client import Endpoint
from ops.gguf import tiny_models

_SIZE_PX = (1024, 768)
"""The size of sent photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """How the time of a run was spent, except for its first answer."""

    answers: int
    elapsed_s: float
    server_s: float
    """By llama-server's own timings."""
    asked_s: float
    """While a request was in flight."""

    @property
    def ratio(self) -> float:
        """Overhead per second of the server's time."""
        return (self.elapsed_s - self.server_s) / self.server_s

    @property
    def idle_ratio(self) -> float:
        """The part of the overhead without a request in flight."""
        return (self.elapsed_s - self.asked_s) / self.server_s


def overhead(answers: list[Answer]) -> Overhead:
    """Add up a run's answers, in order."""
    rest = answers[1:]
    return Overhead(
        answers=len(rest),
        elapsed_s=rest[-1].at - answers[0].at,
        server_s=sum(answer.server_s or 0.0 for answer in rest),
        asked_s=sum(answer.wall_s for answer in rest),
    )


def run(folder: Path, count: int, layers: int, console: Console) -> Overhead:
    """Ask a slow tiny model about `count` photos in an empty folder, as the command does."""
    store = make_store(folder / "models")
    name = store.models[0].model.id
    tiny_models.write_weights(folder / "models" / name / "model.gguf", name, layers=layers)
    run_dir = folder / "run"
    create(run_dir, {"id": "client", "started_at": 0.0, "source": "", "settings": {}})
    images = _photos(folder / "pictures", run_dir / "images", count)
    model = ModelRun(id=name, name=name, sha256="", context=0, quantisation="F32")
    plan = Plan(
        prompt=prompt_of("score", read_rubric()),
        units=schedule.of_photos(images),
        models=(model,),
        images=run_dir / "images",
    )
    served = serve.start(store, folder, front_end=None, port=None, say=console.print)
    try:
        with ExitStack() as stack:
            measurement = Measurement(
                plan,
                stack.enter_context(Journal(run_dir)),
                endpoint=stack.enter_context(Endpoint(served.url, key=api_key())),
                asker=stack.enter_context(Asker(served.url, key=api_key(), timeout_s=300)),
                display=stack.enter_context(Display(console)),
            )
            measurement.run()
    finally:
        serve.stop(folder)
    return overhead(read_answers(run_dir))


def _photos(folder: Path, images: Path, count: int) -> list[str]:
    """Write different photos of the sent size."""
    write_sample_pictures(folder, most=count)
    images.mkdir()
    digests = []
    sources = sorted(folder.glob("*.jpg"))
    for number in range(count):
        photo = Image.open(sources[number % len(sources)]).resize(_SIZE_PX)
        photo.putpixel((0, 0), (number % 256, number // 256, 0))
        content = io.BytesIO()
        photo.save(content, "JPEG", quality=85)
        digest = hashlib.sha256(content.getvalue() + bytes([number // 256])).hexdigest()
        (images / f"{digest}.jpg").write_bytes(content.getvalue())
        digests.append(digest)
    return digests


def main() -> None:
    """Measure and print the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=200, help="Number of photos (default: 200).")
    parser.add_argument(
        "--layers", type=int, default=24, help="Layers of the model (default: 24)."
    )
    parser.add_argument("--json", type=Path, help="Also write the figures to this file.")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        measured = run(Path(folder), options.n, options.layers, console)
    each_ms = 1000 / measured.answers
    console.print(
        f"{measured.answers} answers: {measured.server_s * each_ms:.0f} ms each at the server, "
        f"{measured.asked_s * each_ms:.0f} ms from request to answer, "
        f"{measured.elapsed_s * each_ms:.0f} ms from answer to answer",
        highlight=False,
    )
    console.print(
        f"overhead: {100 * measured.ratio:.1f} % of the server's time "
        f"(without a request in flight: {100 * measured.idle_ratio:.1f} %)",
        highlight=False,
    )
    if options.json is not None:
        figures = {
            "ratio": measured.ratio,
            "idle_ratio": measured.idle_ratio,
            "answers": measured.answers,
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
