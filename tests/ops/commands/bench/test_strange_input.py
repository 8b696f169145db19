"""Any CSV, picture and answer of Immich ends in a result or in one line, never in a traceback.

A failure names its seed. `FUZZ_MINUTES=10 pytest -n0 -s` runs each test so long.
"""

from __future__ import annotations

import random
from pathlib import Path

from ops.commands.bench.album.folder import Folder
from ops.commands.bench.album.immich_album import ImmichAlbum
from ops.commands.bench.album.judgement import read_judgement
from ops.commands.bench.album.prepare import PhotoError, metadata, prepare
from ops.commands.bench.publish.picks import Pick
from ops.commands.bench.publish.planning import plan
from ops.errors import OpsError
from ops.immich.api import Immich
from ops.immich.http import ImmichHttp
from tests.fakes.immich_server import KEY, FakeAsset, immich_server
from tests.fakes.seeds import seeds
from tests.fakes.spoiled import check_one_line, spoiled_bytes, spoiled_json
from tests.ops.commands.bench.immich_world import TARGETS, VERSIONS
from tests.ops.commands.bench.photo_files import encoded, jpeg, photo

NAMES = ("a.jpg", "x/b.jpg", "y/b.jpg", "M\u00fcnchen.jpg", "\u00e9.jpg", "e\u0301.jpg")
CELLS = (
    *NAMES,
    *("name", "Name ", "rating", "RATING", "favourite", "favorite", "stars"),
    *("", " ", "0", "1", "5", "6", "-1", "\u22121", "4.0", "4,0", "4.", "1e9", "nan", "\u00b2"),
    *("yes", "TRUE", "no", "maybe", '"', '""', '"a.jpg"', "\u00fc", "u\u0308", "\u2028"),
    *("\0", "\ufeff", "=1+1", "x" * 300, "\ud800"),
)


def table(chance: random.Random) -> bytes:
    """Mostly as a spreadsheet writes it, with a few strange cells."""
    delimiter = chance.choice(",;\t")
    rows = [["name", chance.choice(("rating", "favourite", "RATING", "favorite"))]]
    rows += [[name, chance.choice(("", "0", "1", "1.0", "1,0"))] for name in NAMES]
    if delimiter == ",":
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    for _ in range(chance.choice((0, 0, 1, 3))):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice(CELLS)
    if chance.random() < 0.2:
        chance.choice(rows).append(chance.choice(CELLS))
    text = chance.choice(("\n", "\r\n", "\r")).join(map(delimiter.join, rows))
    text = chance.choice(("", "", f"sep={delimiter}\r\n", "\ufeff", "\n\n")) + text
    encoding = chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"))
    content = text.encode(encoding, errors="surrogatepass" if "utf" in encoding else "replace")
    return spoiled_bytes(content, chance) if chance.random() < 0.3 else content


def test_any_table_is_a_judgement_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines.csv"
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds(1500):
        path.write_bytes(table(random.Random(seed)))
        try:
            judgements = read_judgement(path, NAMES)
        except OpsError as error:
            check_one_line(error, seed)
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert set(judgements) == set(NAMES), seed
        assert {judged.rating for judged in judgements.values()} <= {None, -1, 1, 2, 3, 4, 5}, seed
    assert min(outcomes.values()) > 20, outcomes


def test_any_damage_to_a_picture_is_a_picture_or_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    formats = ("PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000")
    modes = ("RGB", "L", "P", "1")
    pictures = [encoded(photo(1), image_format) for image_format in formats]
    pictures += [encoded(photo(2).convert(mode), "PNG") for mode in modes]
    pictures += [jpeg(photo(3), progressive=True), jpeg(photo(4).convert("CMYK"))]
    for seed in seeds(400):
        chance = random.Random(seed)
        content = spoiled_bytes(chance.choice(pictures), chance)
        path.write_bytes(content)
        metadata(path)
        try:
            sent = prepare(content)
        except PhotoError:
            continue
        assert max(sent.width, sent.height) <= 1024, seed
        assert min(sent.width, sent.height) >= 32, seed


def answer(content: bytes, chance: random.Random) -> bytes:
    """Mostly as Immich sends it."""
    fate = chance.random()
    if fate > 0.2:
        return content
    return (spoiled_bytes if fate < 0.02 else spoiled_json)(content, chance)


def test_any_answer_of_immich_is_an_album_or_one_line(tmp_path: Path) -> None:
    outcomes = {"read": 0, "refused": 0}
    for version in VERSIONS:
        with immich_server(version) as server:
            server.largest_page = 2
            server.permissions.append("user.read")
            assets = [FakeAsset(f"{n}.jpg", jpeg(photo(n))) for n in range(5)]
            album = server.add_album("Trip", *assets)
            album.shared = True
            picks = tuple(Pick(asset_id=each.id, name=each.name, score=3.0) for each in assets)
            for seed in seeds(80):
                chance = random.Random(seed)
                server.spoil = lambda content, chance=chance: answer(content, chance)
                server.requests.clear()
                messages: list[str] = []
                try:
                    http = ImmichHttp(server.url, key=KEY, timeout_s=10, pause=lambda _: None)
                    with Immich(http) as immich:
                        source = ImmichAlbum(immich, "Trip")
                        list(source.read(source.candidates(messages.append)))
                        target = chance.choice(TARGETS)
                        label = "" if target == "rating" else "Trip"
                        plan(immich, tmp_path, picks, target=target, model="m", label=label)
                    outcomes["read"] += 1
                except OpsError as error:
                    check_one_line(error, seed)
                    outcomes["refused"] += 1
                assert all(map(str.isprintable, messages)), seed
    assert min(outcomes.values()) > 20, outcomes


def test_any_file_names_are_a_folder_or_one_line(tmp_path: Path) -> None:
    """Candidates of a folder are valid text and each names its own file."""
    alphabet = (
        *"aA.\u00e9",
        "e\u0301",
        "\n",
        "#",
        "@eaDir",
        "\udcff",
        " ",
        "[b]",
        ".jpg",
        "\\xff",
    )
    for seed in seeds(30):
        chance = random.Random(seed)
        folder = tmp_path / f"{seed}-{chance.random()}"
        folder.mkdir()
        for number in range(8):
            name = "".join(chance.choices(alphabet, k=chance.randint(1, 4)))
            if name.strip(".") and not (folder / name).exists():
                (folder / name).write_bytes(jpeg(photo(number, (40, 32))))
        source = Folder(path=folder)
        messages: list[str] = []
        try:
            candidates = source.candidates(messages.append)
        except OpsError as error:
            check_one_line(error, seed)
            continue
        assert len({candidate.id for candidate in candidates}) == len(candidates), seed
        assert all(candidate.id.encode() for candidate in candidates), seed
        read = [original.content for original in source.read(candidates)]
        assert len(set(read)) == len(read), seed
        assert all(map(str.isprintable, messages)), seed
