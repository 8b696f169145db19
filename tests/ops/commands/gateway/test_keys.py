"""`ops gateway keys` on a directory: two valid keys at most, hashes only, one owner."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from in_pod.gateway.keys import Keys as PodKeys
from ops.cli import main
from ops.commands.gateway.keys.command import new
from ops.commands.gateway.keys.directory import KeysDirectory
from ops.commands.gateway.keys.rotation import make
from ops.endpoint.consumer_keys import problems, valid_keys
from ops.errors import OpsError, RefusedError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(store: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(store, capsys)


class Keys:
    """The command on one directory."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._store, self._capsys = store, capsys

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Return stdout and stderr."""
        assert main(["gateway", "keys", *words, "--dir", str(self._store)]) == code
        printed = self._capsys.readouterr()
        return printed.out, printed.err


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_new_prints_the_key_alone_and_stores_its_hash(keys: Keys, store: Path) -> None:
    printed, aside = keys("new", "n8n")
    key = printed.removesuffix("\n")
    assert key.startswith("sk-")
    assert len(key) == 46
    assert aside == ""
    (valid,) = valid_keys((store / "n8n").read_text())
    assert valid.sha256 == sha256(key)
    assert key not in (store / "n8n").read_text()
    assert store.stat().st_mode & 0o777 == 0o700
    assert (store / "n8n").stat().st_mode & 0o777 == 0o600


def test_a_third_key_is_refused_until_the_older_is_retired(keys: Keys, store: Path) -> None:
    first, second = keys("new", "n8n")[0].strip(), keys("new", "n8n")[0].strip()
    refusal = keys("new", "n8n", code=3)[1]
    assert "consumer 'n8n' has 2 valid keys" in refusal
    assert f"`python -m ops gateway keys retire n8n --dir {store}`" in refusal
    keys("retire", "n8n")
    assert [key.sha256 for key in valid_keys((store / "n8n").read_text())] == [sha256(second)]
    assert "has 1 valid key; expected 2" in keys("retire", "n8n", code=3)[1]
    third = keys("new", "n8n")[0].strip()
    assert len({first, second, third}) == 3


def test_the_list_names_counts_and_dates_and_never_a_key(keys: Keys, store: Path) -> None:
    key = keys("new", "n8n")[0].strip()
    (store / "left-over").write_text(f"sha256:{sha256('a')} 2026-11-01\n")
    (store / "home-assistant").write_text(key)
    for name in ("left-over", "home-assistant"):
        (store / name).chmod(0o600)
    printed, _ = keys("--json")
    assert key not in printed
    assert sha256(key) not in printed
    found = {line.pop("name"): line for line in json.loads(printed)["consumers"]}
    assert found["n8n"]["valid_keys"] == 1
    assert found["n8n"]["problem"] == ""
    assert found["left-over"] == {
        "declared": False,
        "valid_keys": 1,
        "since": ["2026-11-01"],
        "problem": "not declared: the gateway ignores its keys",
    }
    assert found["photo-poster"]["problem"] == "cannot ask: it has no keys; expected 1 or 2"
    assert found["home-assistant"]["problem"] == (
        "cannot ask: line 1 is a key itself; expected `sha256:HEX YYYY-MM-DD`"
    )
    table, _ = keys()
    assert key not in table
    assert "left-over" in table


@pytest.mark.parametrize(
    "entry",
    [
        f"sha256:{sha256('a')}",
        f"sha256:{sha256('a')[:40]}",
        f"sha256:{sha256('a')} 2026-13-01",
        f"sha256:{sha256('a')} 2026-11-01 \n",
        f"\nsha256:{sha256('a')} 2026-11-01\n",
        f"sha256:{sha256('a').upper()} 2026-11-01",
    ],
    ids=["no date", "cut", "no such month", "a space more", "an empty line", "capitals"],
)
def test_a_broken_entry_is_named_and_only_removed(keys: Keys, store: Path, entry: str) -> None:
    keys("new", "photo-poster")
    (store / "n8n").write_text(entry)
    (store / "n8n").chmod(0o600)
    error = keys("new", "n8n", code=1)[1]
    assert f"error: entry 'n8n' of {store}: line 1 is cut or damaged" in error
    assert f"keys retire n8n --all --dir {store}`" in error
    assert (store / "n8n").read_text() == entry
    keys("new", "photo-poster")
    keys("retire", "n8n", "--all", "--yes")
    keys("new", "n8n")


def test_retire_all_of_what_nobody_declares(keys: Keys, store: Path) -> None:
    keys("new", "n8n")
    (store / "left-over").write_bytes(b"anything")
    (store / "left-over").chmod(0o600)
    keys("retire", "left-over", "--all", "--yes")
    assert [path.name for path in store.iterdir()] == ["n8n"]
    error = keys("retire", "left-over", "--all", "--yes", code=1)[1]
    assert f"CONSUMER is 'left-over'; expected an entry of {store}: n8n" in error


def test_retire_all_asks(keys: Keys) -> None:
    keys("new", "n8n")
    error = keys("retire", "n8n", "--all", code=2)[1]
    assert "`python -m ops gateway keys retire n8n --all --yes` removes the keys" in error


def test_an_unknown_consumer(keys: Keys, store: Path) -> None:
    error = keys("new", "nobody", code=1)[1]
    assert "CONSUMER is 'nobody'; expected one of llama_swap_config/consumers.py: photo-" in error
    assert not store.exists()


def test_options_that_exclude_each_other(keys: Keys) -> None:
    assert "--secret cannot be combined" in keys("new", "n8n", "--secret", "a", code=2)[1]


def test_a_directory_or_a_file_of_others(
    keys: Keys, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("new", "n8n")
    elsewhere = tmp_path / "elsewhere"
    store.rename(elsewhere)
    store.symlink_to(elsewhere)
    assert "is not a directory" in keys("new", "n8n", code=1)[1]
    store.unlink()
    elsewhere.rename(store)
    (store / "n8n").rename(tmp_path / "n8n")
    (store / "n8n").symlink_to(tmp_path / "n8n")
    assert "n8n cannot be read" in keys(code=1)[1]
    (store / "n8n").unlink()
    os.mkfifo(store / "n8n", 0o600)
    assert "n8n is not a file" in keys(code=1)[1]
    (store / "n8n").unlink()
    store.chmod(0o750)
    assert (
        f"has mode 750; expected 700, so that only its owner can use it. Run chmod 700 {store}"
        in (keys(code=1)[1])
    )
    store.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert "expected user 4711, who runs this command" in keys(code=1)[1]


def test_a_key_that_cannot_be_printed_is_not_made(
    keys: Keys, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("new", "n8n")

    def broken(_line: str, **_how: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    before = (store / "n8n").read_text()
    with monkeypatch.context() as patch:
        patch.setattr("ops.commands.gateway.keys.command.typer.echo", broken)
        with pytest.raises(OpsError, match="the key is not made: it cannot be printed"):
            new("n8n", directory=store)
    assert (store / "n8n").read_text() == before


def test_the_gateway_refuses_whom_the_command_says(store: Path) -> None:
    """Two programs read the entries, and one rule holds for both."""
    line = "sha256:{} 2026-11-30\n".format
    entries = {
        "one": line(sha256("a")),
        "two": line(sha256("b")) + line(sha256("c")),
        "three": "".join(line(sha256(key)) for key in "def"),
        "without-a-newline": line(sha256("g")).strip(),
        "empty": "",
        "empty-line": f"\n{line(sha256('h'))}",
        "cut": line(sha256("i"))[:50],
        "a-key": "sk-abc\n",
        "a-space": line(sha256("j")).replace("\n", " \n"),
        "carriage-return": line(sha256("k")).replace("\n", "\r\n"),
        "shared-a": line(sha256("l")) + line(sha256("m")),
        "shared-b": line(sha256("m")),
        "other-digits": line(sha256("n")).replace("2026", "\u0662\u0660\u0662\u0666"),
    }
    store.mkdir()
    for name, entry in entries.items():
        (store / name).write_bytes(entry.encode())
    names = (*entries, "missing")
    refused = problems(names, entries)
    assert refused.keys() == PodKeys(store, names).closed.keys()
    assert set(names) - refused.keys() == {"one", "two", "without-a-newline", "carriage-return"}


def test_changes_at_the_same_time_do_not_undo_each_other(store: Path) -> None:
    made, refused = [], []

    def one() -> None:
        try:
            made.append(make(KeysDirectory(store), "n8n")[1])
        except RefusedError:
            refused.append(1)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert len(refused) == 6
    assert set(valid_keys((store / "n8n").read_text())) == set(made)


def test_the_cluster_needs_a_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "keys", "new", "n8n"]) == 1
    assert "gateway is None in stacks/production.py; expected Existing" in capsys.readouterr().err
