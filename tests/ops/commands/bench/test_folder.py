"""Reading the photos of a folder, with any names and files."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from ops.commands.bench.album.folder import Folder
from ops.commands.bench.album.source import Candidate
from ops.errors import OpsError
from tests.ops.commands.bench.photo_files import (
    DATE_TIME_ORIGINAL,
    EXIF_IFD,
    encoded,
    jpeg,
    jpeg_photo,
    photo,
)


def listed(folder: Folder) -> tuple[dict[str, Candidate], list[str]]:
    messages: list[str] = []
    candidates = folder.candidates(messages.append)
    return {candidate.name: candidate for candidate in candidates}, messages


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_photos_are_found_by_content_and_other_files_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "deep" / "er" / "b", encoded(photo(2), "PNG"))
    write(tmp_path / "deep" / "c.WEBP", encoded(photo(3), "WEBP"))
    write(tmp_path / "notes.txt", b"not a photo")
    write(tmp_path / "movie.mp4", b"\0\0\0\x18ftypisom" + bytes(100))
    write(tmp_path / "phone.heic", b"\0\0\0\x18ftypheic" + bytes(100))
    write(tmp_path / "broken.jpg", b"")
    photos, messages = listed(Folder(path=tmp_path))
    assert list(photos) == ["a.jpg", "broken.jpg", "deep/c.WEBP", "deep/er/b", "phone.heic"]
    assert messages == ["skipped 2 other files"]


@pytest.mark.parametrize(
    "foreign",
    [
        "._a.jpg",
        ".thumbnails/a.jpg",
        ".@__thumb/s100a.jpg",
        ".Trash-1000/files/a.jpg",
        ".Trashes/501/a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "@EADIR/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "SYNOPHOTO_THUMB_XL.jpg",
        "#recycle/a.jpg",
        "#snapshot/daily/a.jpg",
        "@Recycle/a.jpg",
        "$RECYCLE.BIN/S-1-5-21/$RABCDEF.jpg",
        "Lightroom Catalog Previews.lrdata/0/a.jpg",
        "Photos Library.photoslibrary/resources/derivatives/a.jpeg",
        "thumbs/0b/8f/a-preview.jpeg",
        "encoded-video/0b/8f/a.jpg",
        "thumbnails/a.jpg",
    ],
)
def test_thumbnails_and_bins_of_other_programs_are_no_photos(tmp_path: Path, foreign: str) -> None:
    write(tmp_path / "sub" / "a.jpg", jpeg_photo(1))
    write(tmp_path / "sub" / foreign, jpeg_photo(2))
    photos, messages = listed(Folder(path=tmp_path))
    assert list(photos) == ["sub/a.jpg"]
    kept = "Photos Library.photoslibrary/"
    shown = foreign.removeprefix(kept).partition("/")[0]
    assert messages == [f"skipped 1 of thumbnail folders, bins and hidden files ({shown})"]


@pytest.mark.parametrize(
    "name",
    [
        "Photos Library.photoslibrary/originals/0/a.jpeg",
        "resources/a.jpg",
        "thumbs-up.jpg",
        "recycle/a.jpg",
        "Previews/a.jpg",
        "IMG_1-edited.jpg",
        "e@Dir.jpg",
    ],
)
def test_a_photo_whose_name_is_like_anothers_is_a_photo(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, jpeg_photo(1))
    photos, messages = listed(Folder(path=tmp_path))
    assert (list(photos), messages) == ([name], [])


@pytest.mark.parametrize("name", [".photos", "@eaDir", "SYNOPHOTO_x", "x.lrdata"])
def test_a_folder_that_the_owner_names_is_read_whatever_its_name(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path / name / "a.jpg", jpeg_photo(1))
    photos, messages = listed(Folder(path=tmp_path / name))
    assert (list(photos), messages) == (["a.jpg"], [])


def test_sidecars_and_databases_are_other_files(tmp_path: Path) -> None:
    write(tmp_path / "IMG_1.jpg", jpeg_photo(1))
    write(tmp_path / "IMG_1.jpg.xmp", b"<?xpacket begin='' ?><x:xmpmeta/>")  # darktable, digiKam
    write(tmp_path / "IMG_1.jpg.supplemental-metadata.json", b"{}")  # Google Takeout
    write(tmp_path / "Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    photos, messages = listed(Folder(path=tmp_path))
    assert (list(photos), messages) == (["IMG_1.jpg"], ["skipped 3 other files"])


def test_all_that_is_skipped_is_one_line_and_the_runs_are_not_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "notes.txt", b"x")
    for folder in ("2025", "2026"):
        write(tmp_path / folder / "@eaDir" / "a.jpg", jpeg_photo(2))
    for name in ("._b\n.jpg", "#recycle", "thumbs"):
        write(tmp_path / name / "a.jpg", jpeg_photo(2))
    write(tmp_path / "runs" / "1" / "images" / "x.jpg", jpeg_photo(2))
    photos, messages = listed(Folder(path=tmp_path, leave_out=tmp_path / "runs"))
    assert list(photos) == ["a.jpg"]
    assert messages == [
        "skipped 1 other file; 5 of thumbnail folders, bins and hidden files "
        "(#recycle, ._b .jpg, @eaDir and 1 more)"
    ]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_compared_in_one_unicode_form(tmp_path: Path, form: Literal["NFC"]) -> None:
    """A Mac writes NFD into file names, and a spreadsheet NFC into a CSV, or the reverse."""
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    stored, typed = (unicodedata.normalize(each, "Mu\u0308nchen/\u00e9te\u0301.jpg")
                     for each in (form, other))  # fmt: skip
    write(tmp_path / stored, jpeg_photo(1))
    (tmp_path / "favourites.csv").write_text(f"name,rating\n{typed},4\n", encoding="utf-8")
    folder = Folder(path=tmp_path)
    photos, _ = listed(folder)
    assert {name: photo.rating for name, photo in photos.items()} == {
        unicodedata.normalize("NFC", stored): 4
    }
    assert [original.content for original in folder.read(tuple(photos.values()))] == [
        jpeg_photo(1)
    ]


def test_a_path_comes_before_an_equal_file_name_in_a_subfolder(tmp_path: Path) -> None:
    for number, name in enumerate(("\u00e9.jpg", "sub/\u00e9.jpg")):
        write(tmp_path / name, jpeg_photo(number))
    for typed in ("\u00e9.jpg", "e\u0301.jpg", "e\u0301.jpg "):
        (tmp_path / "favourites.csv").write_text(f"name,rating\n{typed},4\n", encoding="utf-8")
        photos, _ = listed(Folder(path=tmp_path))
        assert [photo.rating for photo in photos.values()] == [None, 4]


def test_two_files_that_differ_in_their_unicode_form_alone_stay_two(tmp_path: Path) -> None:
    names = ["\u00e9.jpg", "e\u0301.jpg"]
    for number, name in enumerate(names):
        write(tmp_path / name, jpeg_photo(number))
    (tmp_path / "favourites.csv").write_text(f"name,rating\n{names[1]},4\n", encoding="utf-8")
    folder = Folder(path=tmp_path)
    photos, _ = listed(folder)
    assert {name: photo.rating for name, photo in photos.items()} == {names[0]: None, names[1]: 4}
    drawn = [photos[name] for name in names]
    assert [each.content for each in folder.read(drawn)] == [jpeg_photo(0), jpeg_photo(1)]


def test_each_link_is_followed_once(tmp_path: Path) -> None:
    album = tmp_path / "album"
    write(album / "in" / "a.jpg", jpeg_photo(1))
    write(tmp_path / "elsewhere" / "b.jpg", jpeg_photo(2))
    (album / "up").symlink_to(album)
    (album / "in" / "up").symlink_to(tmp_path / "album")
    (album / "out").symlink_to(tmp_path / "elsewhere")
    (album / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    photos, messages = listed(Folder(path=album))
    assert sorted(photos) == ["in/a.jpg", "out/b.jpg"]
    assert messages == ["skipped 1 other file"]


def test_a_name_of_any_bytes_becomes_valid_text(tmp_path: Path) -> None:
    names = [
        b"<script>alert(1)<script>.jpg",
        b"two\nlines\r.jpg",
        b"\xff\xfe.jpg",
        b"[bold]x.jpg",
    ]
    for number, name in enumerate(names):
        (tmp_path / os.fsdecode(name)).write_bytes(jpeg_photo(number))
    folder = Folder(path=tmp_path)
    photos, _ = listed(folder)
    assert set(photos) == {
        "<script>alert(1)<script>.jpg",
        "two\nlines\r.jpg",
        "\\xff\\xfe.jpg",
        "[bold]x.jpg",
    }
    for text in photos:
        assert text.encode("utf-8")
    contents = [original.content for original in folder.read(tuple(photos.values()))]
    assert sorted(contents) == sorted(jpeg_photo(number) for number in range(4))


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that is read as a user other than root, whom permissions stop."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            for below in filter(Path.is_dir, folder.iterdir()):
                below.chmod(0o700)


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o300], ids=oct)
def test_an_unreadable_subfolder_is_an_error_that_names_it(as_nobody: Path, mode: int) -> None:
    write(as_nobody / "a.jpg", jpeg_photo(1))
    locked = write(as_nobody / "lock\ned" / "b.jpg", jpeg_photo(2)).parent
    folder = Folder(path=as_nobody)
    drawn = tuple(listed(folder)[0].values())
    locked.chmod(mode)
    for look in (lambda: listed(folder), lambda: list(folder.read(drawn))):
        with pytest.raises(OpsError) as error:
            look()
        assert str(error.value) == (
            f"{as_nobody}/lock ed cannot be read (Permission denied); make it readable, or move "
            f"it out of {as_nobody}"
        )


def test_a_link_to_an_unreadable_file_is_skipped_and_counted(as_nobody: Path) -> None:
    album = write(as_nobody / "album" / "a.jpg", jpeg_photo(1)).parent
    locked = write(as_nobody / "locked" / "b.jpg", jpeg_photo(2)).parent
    (album / "b.jpg").symlink_to(locked / "b.jpg")
    locked.chmod(0)
    photos, messages = listed(Folder(path=album))
    assert list(photos) == ["a.jpg"]
    assert messages == ["skipped 1 other file"]


def test_an_error_about_a_folder_of_any_name_is_one_line(tmp_path: Path) -> None:
    folder = Folder(path=tmp_path / "two\nlines")
    assert folder.title == f"{tmp_path}/two lines"
    with pytest.raises(OpsError, match=r"two lines cannot be read \(No such file"):
        listed(folder)
    folder.path.mkdir()
    with pytest.raises(OpsError, match=r"two lines contains no photos \(0 other files"):
        listed(folder)


def test_a_file_that_is_deleted_during_the_read_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "b.jpg", jpeg_photo(2))
    folder = Folder(path=tmp_path)
    walk = Folder._walk

    def walked(folder: Folder) -> object:
        result = walk(folder)
        gone.unlink(missing_ok=True)
        return result

    monkeypatch.setattr(Folder, "_walk", walked)
    photos, _ = listed(folder)
    failures = [original.failure for original in folder.read(tuple(photos.values()))]
    assert failures == ["image_missing", None]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None, lambda path: path.write_text("")])
def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path: Path, make: object) -> None:
    folder = tmp_path / "album"
    make(folder)  # type: ignore[operator]
    with pytest.raises(OpsError, match="album"):
        listed(Folder(path=folder))


def test_a_folder_of_other_files_is_an_error_that_counts_them(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", b"x")
    with pytest.raises(OpsError, match=r"contains no photos \(1 other file\)"):
        listed(Folder(path=tmp_path))


def test_equal_files_have_the_same_original(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "copy" / "a.jpg", jpeg_photo(1))
    bitmaps = [encoded(photo(seed), "BMP") for seed in (2, 3)]
    assert len(bitmaps[0]) == len(bitmaps[1])
    write(tmp_path / "b.bmp", bitmaps[0])
    write(tmp_path / "c.bmp", bitmaps[1])
    photos, _ = listed(Folder(path=tmp_path))
    assert photos["a.jpg"].original == photos["copy/a.jpg"].original
    assert len({photo.original for photo in photos.values()}) == 3


def test_a_deleted_or_unreadable_file_has_a_failure_class(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "b.jpg", jpeg_photo(2))
    folder = Folder(path=tmp_path)
    photos, _ = listed(folder)
    (tmp_path / "a.jpg").unlink()
    read = list(folder.read(tuple(photos.values())))
    assert [original.failure for original in read] == ["image_missing", None]
    assert read[1].content == jpeg_photo(2)


def test_the_owners_csv_overrides_the_files_rating(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] = "2026:05:01 10:00:00"
    content = jpeg(photo(1), exif=exif, xmp=b'xmp:Rating="3"')
    write(tmp_path / "a.jpg", content)
    write(tmp_path / "b.jpg", jpeg_photo(2))
    photos, _ = listed(Folder(path=tmp_path))
    assert (photos["a.jpg"].rating, photos["a.jpg"].taken_at) == (3, 1777629600.0)
    assert photos["a.jpg"].favourite is None
    (tmp_path / "favourites.csv").write_text("name,favourite,rating\na.jpg,yes,5\n")
    photos, messages = listed(Folder(path=tmp_path))
    assert (photos["a.jpg"].rating, photos["a.jpg"].favourite) == (5, True)
    assert (photos["b.jpg"].rating, photos["b.jpg"].favourite) == (None, False)
    assert messages == [f"read your judgement from {tmp_path / 'favourites.csv'}"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("text", "favourites", "ratings"),
    [
        ("name\na.jpg\nsub/b.jpg\n", {"a.jpg", "sub/b.jpg"}, {}),
        ("name;favourite\r\nb.jpg;1\r\na.jpg;0\r\n", {"sub/b.jpg"}, {}),
        ("\ufeffName, Rating\na.jpg,4\nsub/b.jpg,-1\n", None, {"a.jpg": 4, "sub/b.jpg": -1}),
        ("rating\tname\n2\ta.jpg\n0\tb.jpg\n\n", None, {"a.jpg": 2}),
        ('name,favourite\n"a.jpg",x\n', {"a.jpg"}, {}),
        ("name,favourite,rating\na.jpg,no\n", set(), {}),
        (
            "NAME;RATING;;\r\na.jpg;4,0;;\r\nb.jpg;5.00;;\r\n;;;\r\n",
            None,
            {"a.jpg": 4, "sub/b.jpg": 5},
        ),
        ('name,rating\na.jpg,"4,0"\nb.jpg,\u22121\n', None, {"a.jpg": 4, "sub/b.jpg": -1}),
        ("sep=;\r\nname;favorite\r\na.jpg;TRUE\r\nb.jpg;0,0\r\n", {"a.jpg"}, {}),
        ("name\trating\rsub/b.jpg\t2.0\r", None, {"sub/b.jpg": 2}),
        ("name,rating\na.jpg,4\na.jpg,4.0\n a.jpg ,4\n", None, {"a.jpg": 4}),
    ],
)
def test_the_owners_csv_is_read_in_several_formats(
    tmp_path: Path,
    text: str,
    favourites: set[str] | None,
    ratings: dict[str, int],
    encoding: str,
) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "sub" / "b.jpg", jpeg_photo(2))
    csv = tmp_path / "mine.csv"
    csv.write_text(text, newline="", encoding=encoding)
    photos, _ = listed(Folder(path=tmp_path, judgement=csv))
    if favourites is None:
        assert {photo.favourite for photo in photos.values()} == {None}
    else:
        assert {name for name, photo in photos.items() if photo.favourite} == favourites
        assert {photo.favourite for photo in photos.values()} <= {True, False}
    rated = {name: photo.rating for name, photo in photos.items() if photo.rating is not None}
    assert rated == ratings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "are missing; expected name"),
        ("file,stars\n", "are 'file', 'stars'; expected name, favourite, rating"),
        ("name,rating\na.jpg,6\n", "line 2: rating is '6'"),
        ("name,rating\na.jpg,good\n", "line 2: rating is 'good'"),
        ("name,favourite\na.jpg,maybe\n", "line 2: favourite is 'maybe'"),
        ("name\nz.jpg\n", "line 2: name is 'z.jpg'; expected the path of a photo"),
        ('name\n\n\n"z\n.jpg"\nz\n', "line 4: name is 'z .jpg'"),
        ("sep=;\nname;rating\na.jpg;7\n", "line 3: rating is '7'"),
        ("name,rating\na.jpg,4.5\n", "line 2: rating is '4.5'"),
        ("name,rating\na.jpg,1e0\n", "line 2: rating is '1e0'"),
        (
            "name,rating\na.jpg,4\nx/b.jpg,9\na.jpg,5\nz,1\n",
            "line 3: rating is '9'; expected 1 to 5, -1 for rejected, or empty for unrated "
            "(2 more lines with errors)",
        ),
        ("name,rating\na.jpg,4\n./a.jpg,5\na.jpg,5\n", "line 3: name is './a.jpg'"),
        (
            "name,rating\na.jpg,4\n\na.jpg,5\n",
            "line 4: 'a.jpg' is judged differently in line 2; expected one judgement per photo",
        ),
        ("name,name\na.jpg,a.jpg\n", "are 'name', 'name'; expected"),
        ("name,rating\na, b.jpg,4\n", "line 2: 3 cells; expected 2. Put a name with ','"),
        ("name,rating\n,4\n", "line 2: name is ''"),
        ("name\nb.jpg\n", "line 2: name is 'b.jpg'; expected a path"),
        ('name\n"a.jpg\n', "not a CSV file"),
        ("name\n\udcff.jpg\n", "not UTF-8"),
    ],
)
def test_a_wrong_judgement_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    write(tmp_path / "x" / "b.jpg", jpeg_photo(2))
    write(tmp_path / "y" / "b.jpg", jpeg_photo(3))
    (tmp_path / "favourites.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OpsError) as error:
        listed(Folder(path=tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_judgement_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg_photo(1))
    with pytest.raises(OpsError, match=r"none\.csv cannot be read"):
        listed(Folder(path=tmp_path, judgement=tmp_path / "none.csv"))
