"""The comment on a pull request: ours is found and kept, nobody else's is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import sticky_comment
from ci.sticky_comment import MOST_CHARACTERS
from tests.conftest import ROOT
from tests.fakes.forge import REPOSITORY, FakeForge, Fault

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MARKER = "<!-- sticky-comment: llama-cpp -->"
OURS = f"{MARKER}\nan older plan"


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeForge]:
    """A forge, and the environment of a job that posts to its pull request 7."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "CI_", "FORGE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sticky_comment, "_WAITS_S", (0.01, 0.01, 0.01))
    with FakeForge() as fake:
        monkeypatch.setenv("FORGE_TOKEN", "t0ken")
        monkeypatch.setenv("CI_FORGE_TYPE", "forgejo")
        monkeypatch.setenv("CI_FORGE_URL", fake.url.removesuffix("/api/v1"))
        monkeypatch.setenv("CI_REPO", REPOSITORY)
        monkeypatch.setenv("CI_COMMIT_PULL_REQUEST", "7")
        monkeypatch.setenv("CI_COMMIT_SHA", COMMIT)
        yield fake


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "comment.md"
    path.write_text("**2 objects change**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    return path


def run(report: Path, *more: str) -> int:
    return sticky_comment.main(["--stack", "llama-cpp", "--file", str(report), *more])


def refused(capsys: pytest.CaptureFixture[str], report: Path, *more: str) -> str:
    """Run what has to fail, and return its one line."""
    assert run(report, *more) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert "t0ken" not in text
    return text


def test_the_first_run_posts_and_the_second_updates(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(report) == 0
    assert capsys.readouterr().out == "posted a comment on pull request 7\n"
    report.write_text("**no change**")
    assert run(report) == 0
    assert capsys.readouterr().out == "updated the comment on pull request 7\n"
    (comment,) = forge.comments
    assert comment["user"]["login"] == "plan-bot"
    assert comment["body"].splitlines()[:2] == [MARKER, "**no change**"]
    assert "0123456789ab" in comment["body"]


def test_ours_is_found_on_a_later_page(forge: FakeForge, report: Path) -> None:
    for number in range(7):
        forge.say("somebody", f"comment {number}")
    forge.say("plan-bot", OURS)
    assert run(report) == 0
    assert len(forge.comments) == 8
    assert "2 objects change" in forge.comments[7]["body"]


def test_another_stack_has_a_comment_of_its_own(forge: FakeForge, report: Path) -> None:
    forge.say("plan-bot", OURS)
    words = ["--stack", "monitoring", "--file", str(report)]
    assert sticky_comment.main(words) == 0
    assert [comment["body"].splitlines()[0] for comment in forge.comments] == [
        MARKER,
        "<!-- sticky-comment: monitoring -->",
    ]


@pytest.mark.parametrize(
    ("login", "body"),
    [
        ("mallory", OURS),
        ("plan-bot-", OURS),
        ("plan-bot", f"> {MARKER}\nan answer to it"),
        ("plan-bot", f"a word on\n{MARKER}"),
        ("plan-bot", f"{MARKER} and more"),
    ],
)
def test_a_comment_that_only_looks_like_ours_is_not_changed(
    forge: FakeForge, report: Path, login: str, body: str
) -> None:
    forge.say(login, body)
    assert run(report) == 0
    assert forge.comments[0]["body"] == body
    assert len(forge.comments) == 2


def test_a_comment_of_a_deleted_user_is_skipped(forge: FakeForge, report: Path) -> None:
    forge.comments.append({"id": 1, "user": None, "body": OURS})
    assert run(report) == 0
    assert forge.comments[0]["body"] == OURS


def test_without_a_number_the_pull_request_is_found_by_its_head(
    forge: FakeForge,
    report: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CI_COMMIT_PULL_REQUEST")
    ours = {"repo": {"full_name": REPOSITORY}}
    forge.pulls = [
        {"number": 3, "head": {"sha": COMMIT, "repo": {"full_name": "fork/llama-cpp-infra"}}},
        {"number": 4, "head": {"sha": COMMIT, "repo": None}},
        {"number": 5, "head": {"sha": "f" * 40, **ours}},
        {"number": 7, "head": {"sha": COMMIT, **ours}},
    ]
    assert run(report) == 0
    assert len(forge.comments) == 1
    forge.pulls.pop()
    assert run(report) == 0
    assert len(forge.comments) == 1
    assert "no open pull request has the head 0123456789ab" in capsys.readouterr().out


def test_in_github_actions_the_number_and_the_run_come_from_its_environment(
    forge: FakeForge, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORGE_TOKEN", "CI_REPO", "CI_FORGE_URL", "CI_COMMIT_PULL_REQUEST"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    monkeypatch.setenv("GITHUB_API_URL", forge.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_REF", "refs/pull/7/merge")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    forge.logins["t0ken"] = "github-actions[bot]"
    forge.say("github-actions[bot]", OURS)
    forge.say("mallory", OURS)
    # The token of a run may not ask whose it is.
    message = "Resource not accessible by integration"
    forge.faults["GET /user"] = [Fault(status=403, message=message)]
    assert run(report) == 0
    assert f"(https://git.example/{REPOSITORY}/actions/runs/42)" in forge.comments[0]["body"]
    assert forge.comments[1]["body"] == OURS


def test_outside_github_a_token_without_a_user_needs_an_author(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.faults["GET /user"] = [Fault(status=403, message="token has no scope read:user")]
    assert "Pass --author" in refused(capsys, report)
    forge.say("plan-bot", OURS)
    forge.asked.clear()
    assert run(report, "--author", "plan-bot") == 0
    assert "GET /user" not in forge.asked
    assert len(forge.comments) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "has not expired"),
        (403, "pull-requests: write"),
        (404, "check the repository's name"),
        (410, "410 planted"),
        (422, "422 planted"),
    ],
)
def test_a_refusal_is_one_line_and_is_not_retried(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str], status: int, says: str
) -> None:
    forge.faults["POST /comments"] = [Fault(status=status)] * 2
    assert says in refused(capsys, report)
    assert sum(request.startswith("POST") for request in forge.asked) == 1


def test_a_token_in_the_forges_answer_is_redacted(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.logins.clear()
    assert "bad credentials ***" in refused(capsys, report, "--author", "plan-bot")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, headers={"Retry-After": "0"}),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=403, headers={"X-RateLimit-Remaining": "0"}),
    ],
)
def test_a_passing_error_is_retried(forge: FakeForge, report: Path, fault: Fault) -> None:
    forge.faults["GET /comments"] = [fault] * 2
    assert run(report) == 0
    assert len(forge.comments) == 1


def test_a_retry_does_not_post_twice(forge: FakeForge, report: Path) -> None:
    forge.faults["POST /comments"] = [Fault(status=502, taken=True)]
    assert run(report) == 0
    assert len(forge.comments) == 1


def test_a_lasting_error_ends_the_retries(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.faults["POST /comments"] = [Fault(status=500)] * 9
    assert "500 planted" in refused(capsys, report)
    assert sum(request.startswith("POST") for request in forge.asked) == 4


def test_an_unreachable_forge_is_one_line(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no answer" in refused(capsys, report, "--api", "http://127.0.0.1:9/api/v1")


def test_the_token_follows_no_redirect_and_no_page_to_another_server(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeForge() as elsewhere:
        elsewhere.logins["t0ken"] = "plan-bot"
        moved = {"Location": f"{elsewhere.url}/user"}
        forge.faults["GET /user"] = [Fault(status=302, headers=moved)]
        assert "it moved to" in refused(capsys, report)
        forge.next_page_at = elsewhere.url
        for number in range(5):
            forge.say("somebody", f"comment {number}")
        assert "another server" in refused(capsys, report)
        assert elsewhere.asked == []


def test_requests_use_the_proxy_of_the_environment(
    forge: FakeForge, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", forge.url.removesuffix("/api/v1"))
    monkeypatch.setenv("no_proxy", "")
    assert run(report, "--api", "http://forge.invalid/api/v1") == 0
    assert len(forge.comments) == 1


def test_escapes_control_and_bidirectional_characters_are_removed(
    forge: FakeForge, report: Path
) -> None:
    report.write_bytes(
        b"\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b]8;;\x1b\\ a\x00b\x08c\r\nd\te"
        + "\u202efdp.exe\u2066 é 😀".encode()
        + b"\xff"
    )
    assert run(report) == 0
    body = forge.comments[0]["body"]
    assert "red link abc\nd\tefdp.exe é 😀\ufffd" in body


@pytest.mark.parametrize("more", [-1, 0, 1, 200_000, 1_000_000])
def test_a_report_longer_than_a_comment_is_replaced_by_a_sentence(
    forge: FakeForge, report: Path, more: int
) -> None:
    overhead = len(f"{MARKER}\n") + len(f"\n\n<sub>commit `{COMMIT[:12]}`</sub>\n")
    report.write_text("x" * (MOST_CHARACTERS - overhead + more))
    assert run(report) == 0
    body = forge.comments[0]["body"]
    assert len(body) <= MOST_CHARACTERS < 65_536
    assert ("longer than a comment can be" in body) is (more > 0)


def test_an_empty_or_missing_report_posts_nothing(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.write_text(" \n")
    assert "is empty" in refused(capsys, report)
    report.unlink()
    assert "cannot be read" in refused(capsys, report)
    assert forge.asked == []


def test_a_report_with_the_token_is_not_posted(
    forge: FakeForge, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.write_text("Authorization: token t0\x1b[0mken")
    assert "contains the token" in refused(capsys, report)
    assert forge.asked == []


@pytest.mark.parametrize("token", ["", " ", "t0k\nen", "t0kén"])
def test_an_invalid_token_is_refused_without_showing_it(
    forge: FakeForge,
    report: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    token: str,
) -> None:
    monkeypatch.setenv("FORGE_TOKEN", token)
    text = refused(capsys, report)
    assert "t0k" not in text
    assert forge.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ["--stack", "a --> b"],
        ["--repository", "home"],
        ["--repository", "home/../user"],
        ["--api", "https://user@host"],
        ["--api", "file:///etc/passwd"],
        ["--commit", "main"],
        ["--run-url", "javascript:alert(1)"],
        ["--pull-request", "seven"],
    ],
)
def test_an_invalid_argument_is_wrong_usage(
    forge: FakeForge, report: Path, words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(report, *words)
    assert ended.value.code == 2
    assert forge.asked == []


def test_it_runs_without_anything_installed(forge: FakeForge, report: Path) -> None:
    """As the job that posts runs it: -S leaves site-packages out, -I the environment's path."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from ops import sticky_comment; sys.exit(sticky_comment.main(sys.argv[1:]))"
    )
    words = ["--stack", "llama-cpp", "--file", str(report)]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(forge.comments) == 1
