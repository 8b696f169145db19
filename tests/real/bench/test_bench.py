"""`ops bench` against real llama-servers behind the front end: three tiny models, sample pictures.

The weights are random, so the scores mean nothing. That a photo is always answered alike, that no
question is asked twice and that no answer is lost do not depend on them.
"""

from __future__ import annotations

import io
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from llama_swap_config.front_ends.server_command import ServerSettings
from ops.commands.bench.album.sample_pictures import write_sample_pictures
from ops.commands.bench.answers import load, read_answers, read_journal
from ops.commands.serve import local_store
from ops.commands.serve import run as serve
from ops.commands.serve.local_store import LocalStore
from ops.commands.serve.run import Served
from ops.endpoint import client as smoke
from ops.endpoint import residents
from ops.endpoint.pictures import data_uri
from tests.fakes.forked_program import Program
from tests.ops.commands.bench.photo_runs import scores

_PICTURES = 30
_KILLS = 12


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    served: Served
    store: LocalStore
    pictures: Path

    def command(self, run_dir: Path, *options: str) -> Program:
        return Program(
            name="ops",
            arguments=(
                *("bench", str(self.pictures), "--run", str(run_dir), "--random-weights"),
                *("--url", self.served.url, "--lock", str(self.store.lock_path), *options),
            ),
            log=run_dir.with_name("log"),
        )

    def bench(self, run_dir: Path, *options: str) -> str:
        """Run the command to its end; return its output."""
        program = self.command(run_dir, *options)
        code, log = program.finish(), program.log.read_text()
        assert code == 0, log
        return log

    def unload(self) -> None:
        """Unload all models, whatever earlier tests loaded."""
        with smoke.Endpoint(self.served.url) as asked:
            nobody = replace(residents.find(asked, timeout_s=10), loaded=())
            residents.restore(asked, nobody, self.served.models, timeout_s=10)

    def loads(self) -> int:
        """The number of projectors that were loaded so far: each load logs one warning."""
        log = self.served.log.read_text(errors="replace")
        return log.count("load_hparams: Qwen-VL models require")


@pytest.fixture(scope="module")
def endpoint(llama_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("photo-bench")
    store = local_store.fill_with_tiny_models(folder / "state", say=print)
    write_sample_pictures(folder / "pictures", most=_PICTURES)
    # A state restored from host memory is computed in other batches than a new one.
    settings = ServerSettings(cache_ram_mib=0)
    served = serve.start(
        store, folder / "state", front_end=None, port=None, say=print, settings=settings
    )
    yield Endpoint(served=served, store=store, pictures=folder / "pictures")
    serve.stop(folder / "state")


@pytest.fixture(scope="module")
def whole(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    endpoint.unload()
    before = endpoint.loads()
    begun = time.monotonic()
    endpoint.bench(run_dir)
    (run_dir.parent / "wall_s").write_text(str(time.monotonic() - begun))
    assert endpoint.loads() - before == 3
    assert [model.loads for model in load(run_dir).models] == [1, 1, 1]
    return run_dir


def test_three_models_are_loaded_once_each_and_answer_every_photo(
    endpoint: Endpoint, whole: Path
) -> None:
    run = load(whole)
    assert Counter(answer.model for answer in run.answers) == dict.fromkeys(
        endpoint.served.models, _PICTURES
    )
    assert [answer.failure for answer in run.answers if answer.failure] == []
    assert not any(answer.cold for answer in run.answers)
    for answer in run.answers:
        assert set(answer.labels) == set("12345")
        assert answer.server_s is not None
        assert 0 < answer.server_s < answer.wall_s
    for model in run.models:
        values = {answer.score for answer in run.answers if answer.model == model.id}
        assert len(values) == _PICTURES
        assert run.provenance["engines"][model.id]["label_tokens"].keys() == set("12345")
    assert run.random_weights
    assert run.loading is not None
    assert run.loading.loaded_already == ()
    assert 0 < run.loading.loading_s < run.loading.asking_s


def test_a_run_that_is_killed_again_and_again_has_the_same_scores(
    endpoint: Endpoint, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    draw = random.Random(8)
    kept = 0
    for kill in range(_KILLS):
        process = endpoint.command(run_dir).start()
        wanted = min(3 * _PICTURES - 1, kept + draw.randint(1, 10))
        deadline = time.monotonic() + 120
        path = run_dir / "answers.jsonl"
        while not path.is_file() or path.read_bytes().count(b"\n") < wanted:
            assert process.exitcode is None, f"it ended by itself before kill {kill}"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(draw.random() * 0.1)
        process.kill()
        process.join()
        answers = read_answers(run_dir)
        assert len({answer.key for answer in answers}) == len(answers) >= kept
        kept = len(answers)
    assert kept < 3 * _PICTURES
    endpoint.bench(run_dir)
    answers = read_answers(run_dir)
    assert len({answer.key for answer in answers}) == len(answers) == 3 * _PICTURES
    assert table(run_dir) == table(whole)
    assert len(read_journal(run_dir, "session")) == _KILLS + 1


def table(run_dir: Path) -> dict[tuple[str, str, str], float]:
    """Every photo's score, as finely as one engine gives it again."""
    run = load(run_dir)
    asked = [answer for answer in run.answers if answer.key.method == "score"]
    by_key = scores(replace(run, answers=tuple(asked)))
    return {key: round(score or 0.0, 9) for key, score in by_key.items()}


def test_a_finished_run_asks_nothing_and_loads_nothing(endpoint: Endpoint, whole: Path) -> None:
    before, content = endpoint.loads(), (whole / "answers.jsonl").read_bytes()
    endpoint.bench(whole)
    assert endpoint.loads() == before
    assert (whole / "answers.jsonl").read_bytes() == content


def test_each_other_method_is_answered_by_real_models(
    endpoint: Endpoint, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(whole, run_dir)
    for options in (
        ("--method", "rubric"),
        ("--method", "anchored", "--anchors", "2"),
        ("--method", "pairwise", "--shortlist", "5", "--pairs", "2"),
    ):
        endpoint.bench(run_dir, *options)
    run = load(run_dir)
    assert [answer.failure for answer in run.answers if answer.failure] == []
    counted = Counter(answer.key.method for answer in run.answers)
    assert counted == {"score": 90, "rubric": 90, "anchored": 180, "pairwise": 3 * 2 * 5}
    rubrics = [answer for answer in run.answers if answer.key.method == "rubric"]
    assert all(len(answer.criteria) == 5 and answer.answer_tokens == 5 for answer in rubrics)


_SENT = ((32, 32), (33, 1024), (1024, 34), (3000, 2000), (64_000, 2048), (2048, 64_000))
_TOO_SMALL = ((1, 1), (31, 400), (1024, 2), (2, 1024), (60_000, 2), (2, 60_000))


def test_pictures_of_any_shape_are_answered_or_refused_before_they_are_sent(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, size in enumerate((*_SENT, *_TOO_SMALL)):
        picture = Image.new("L", size, 20 * number)
        picture.paste(200, (0, 0, size[0] // 2, size[1]))
        picture.save(pictures / f"{size[0]}x{size[1]}.jpg")
    run_dir = tmp_path / "run"
    # Its command names the pictures.
    log = replace(endpoint, pictures=pictures).bench(run_dir)
    assert f"{len(_TOO_SMALL)} of {len(_SENT + _TOO_SMALL)} photos cannot be sent" in log
    run = load(run_dir)
    failures = {photo.name: photo.failure for photo in run.photos}
    assert failures == {
        **{f"{width}x{height}.jpg": None for width, height in _SENT},
        **{f"{width}x{height}.jpg": "image_too_small" for width, height in _TOO_SMALL},
    }
    assert len(run.answers) == len(_SENT) * len(endpoint.served.models)
    assert [answer.failure for answer in run.answers if answer.failure] == []


def test_llama_server_answers_pictures_that_are_narrower_than_a_token(endpoint: Endpoint) -> None:
    """This build does; one before llama.cpp#21711 ended at an edge of 1 px."""
    for size in ((1, 1), (1024, 1), (1, 1024), (1024, 2), (2, 1024)):
        content = io.BytesIO()
        Image.new("RGB", size, "red").save(content, "JPEG")
        picture = {"url": data_uri(content.getvalue(), "image/jpeg")}
        body = {
            "model": endpoint.served.models[0],
            "max_tokens": 1,
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": picture}]}
            ],
        }
        url = f"{endpoint.served.url}/v1/chat/completions"
        assert httpx2.post(url, json=body, timeout=60, trust_env=False).status_code == 200


def test_a_run_ends_within_its_time(endpoint: Endpoint, whole: Path, tmp_path: Path) -> None:
    # A busy machine needs longer for the photos of the forecast.
    within_s = max(4, round(0.7 * float((whole.parent / "wall_s").read_text())))
    begun = time.monotonic()
    log = endpoint.bench(tmp_path / "run", "--within", f"{within_s}s")
    assert "forecast: " in log
    assert time.monotonic() - begun < within_s + 26
    counted = Counter(answer.model for answer in load(tmp_path / "run").answers)
    assert counted.total() <= 3 * _PICTURES


def test_an_unload_by_another_client_is_detected(endpoint: Endpoint, tmp_path: Path) -> None:
    first, second, _ = endpoint.served.models
    run_dir = tmp_path / "run"
    # Five questions per photo: the other client is served before the run ends.
    program = endpoint.command(run_dir, "--model", first, "--method", "anchored", "--anchors", "5")
    process = program.start()
    path = run_dir / "answers.jsonl"
    while not path.is_file() or path.read_bytes().count(b"\n") < 8:
        assert process.exitcode is None
        time.sleep(0.002)
    body = {"model": second, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    url = f"{endpoint.served.url}/v1/chat/completions"
    assert httpx2.post(url, json=body, timeout=60, trust_env=False).status_code == 200
    process.join(120)
    assert process.exitcode == 0
    run = load(run_dir)
    (model,) = run.models
    assert len(run.answers) == 5 * _PICTURES
    assert sum(answer.cold for answer in run.answers) == 1
    assert [entry["by"] for entry in read_journal(run_dir, "load")] == ["run", "others"]
    assert model.loads == sum(entry["cold"] for entry in read_journal(run_dir, "load"))
    assert f"another client unloaded {first}" in program.log.read_text()


def test_llama_servers_own_router_gives_the_same_scores(
    endpoint: Endpoint, whole: Path, tmp_path: Path
) -> None:
    settings = ServerSettings(cache_ram_mib=0)
    served = serve.start(
        endpoint.store,
        tmp_path,
        front_end="llama-server",
        port=None,
        say=print,
        settings=settings,
    )
    try:
        replace(endpoint, served=served).bench(tmp_path / "run")
    finally:
        serve.stop(tmp_path)
    assert table(tmp_path / "run") == table(whole)
