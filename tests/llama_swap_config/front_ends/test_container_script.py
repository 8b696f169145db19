"""The container's log passes a filter, and its keys come from the environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from llama_swap_config.front_ends.container_script import container_script

LINES = {
    "a picture": (
        "I srv  handle_media: downloading image from 'https://a.example/p.png?X-Sig=5ec2e7'",
        "I srv  handle_media: downloading image from 'https://a.example/p.png?[redacted]'",
    ),
    "a quote in the query": (
        "downloading image from 'http://a/p?name='a b'&sig=5ec2e7'",
        "downloading image from 'http://a/p?[redacted]'",
    ),
    "a login": (
        "downloading image from 'http://ann:5ec2e7@a/p.png'",
        "downloading image from 'http://[redacted]@a/p.png'",
    ),
    "another scheme": (
        "downloading image from 'httpx://a/p?sig=5ec2e7'",
        "downloading image from 'httpx://a/p?[redacted]'",
    ),
    "several addresses": (
        'last read: "http://a/1?x=5ec2e7", "https://b/2?y=5ec2e7#z" end?',
        'last read: "http://a/1?[redacted]", "https://b/2?[redacted]" end?',
    ),
    "bytes that are not UTF-8": (
        "downloading image from 'http://a/\udcff?sig=\udcff5ec2e7'",
        "downloading image from 'http://a/\udcff?[redacted]'",
    ),
    "no query": ("listening on http://127.0.0.1:5800", "listening on http://127.0.0.1:5800"),
    "no address": ('"GET /props HTTP/1.1" 200 a@b?c', '"GET /props HTTP/1.1" 200 a@b?c'),
}


def run(
    folder: Path, *command: str, key_env: tuple[str, ...] = (), **env: str
) -> subprocess.CompletedProcess[bytes]:
    script = container_script(command, key_env=key_env).replace("/tmp/log", f"{folder}/pipe")
    return subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(("line", "shown"), LINES.values(), ids=LINES.keys())
def test_a_line_is_shown_without_query_and_login(line: str, shown: str, tmp_path: Path) -> None:
    result = run(tmp_path, "printf", "%s\\n", line, LANG="C.UTF-8")
    assert result.stdout.decode(errors="surrogateescape") == f"{shown}\n"
    assert result.returncode == 0


def test_the_exit_code_is_the_front_ends(tmp_path: Path) -> None:
    result = run(tmp_path, "/bin/sh", "-c", "echo last words >&2; exit 7")
    assert (result.returncode, result.stdout) == (7, b"last words\n")


def test_all_keys_reach_the_program_in_one_variable(tmp_path: Path) -> None:
    program = ("/bin/sh", "-c", "echo $LLAMA_API_KEY")
    assert run(tmp_path, *program, key_env=("A", "B"), A="1", B="2").stdout == b"1,2\n"
    assert run(tmp_path, *program).stdout == b"\n"


@pytest.mark.parametrize("env", [{"A": "1"}, {"A": "1", "B": ""}], ids=["missing", "empty"])
def test_without_a_key_the_program_does_not_start(env: dict[str, str], tmp_path: Path) -> None:
    result = run(tmp_path, "echo", "started", key_env=("A", "B"), **env)
    assert result.returncode != 0
    assert b"started" not in result.stdout
    assert b"B" in result.stderr


def test_a_pipe_that_cannot_be_made_ends_the_container(tmp_path: Path) -> None:
    result = run(tmp_path / "missing", "echo", "started")
    assert (result.returncode, result.stdout) == (1, b"")
