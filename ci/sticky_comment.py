"""Post a Markdown file as the one comment of a stack on a pull request, or update it.

Standard library only: it runs from a bare checkout, with a token that may write, on the output of
an untrusted branch. The requests are the same for GitHub and Forgejo.

Example: `python3 -m ci.sticky_comment --stack llama-cpp --file plan-report/comment.md`
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.forge_api import ForgeApi, ForgeError, PassingForgeError

MOST_CHARACTERS = 65_535
"""The longest comment that GitHub accepts; Forgejo accepts more."""
_MOST_FILE_BYTES = 4 * MOST_CHARACTERS
_ACTIONS_BOT = "github-actions[bot]"
_WAITS_S = (1, 4, 15)
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # Colours and cursor movements.
    r"|\x1b[\]P^_X].*?(?:\x07|\x1b\\)"  # Titles and links of a terminal.
    r"|\x1b.?"
    # Control characters, and marks that turn the direction of what follows.
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The place of the comment."""

    repository: str
    """`owner/name`."""
    stack: str
    commit: str = ""
    """The head of the pull request; it is shown, and finds the number."""
    number: int | None = None
    """Number of the pull request; None: the open one whose head is the commit."""
    author: str = ""
    """User whose comment is updated; empty: the token's user."""

    @property
    def marker(self) -> str:
        """The first line of our comment, which is invisible."""
        return f"<!-- sticky-comment: {self.stack} -->"


def render(text: str, target: Target, *, run_url: str) -> str:
    """Make a comment of an untrusted report.

    Args:
        text: The report, in Markdown.
        target: Stack and commit.
        run_url: Link to the whole report; empty: no link.
    """
    text = text.replace("\r\n", "\n")
    report = _ESCAPES.sub("", text).strip()
    origin = [f"commit `{target.commit[:12]}`"] if target.commit else []
    origin += [f"[the run, with the whole plan]({run_url})"] if run_url else []
    foot = f"\n\n<sub>{', '.join(origin)}</sub>" if origin else ""
    comment = f"{target.marker}\n{report}{foot}\n"
    if len(comment) > MOST_CHARACTERS:
        # Markdown that is cut can hide what follows it, so the report is not shown.
        report = f"The plan of `{target.stack}` is longer than a comment can be."
        comment = f"{target.marker}\n{report}{foot}\n"
    return comment


def post(api: ForgeApi, target: Target, comment: str) -> str:
    """Update our comment, or post it.

    A failed write may have succeeded on the forge, so a retry starts again with the search.

    Args:
        api: The forge.
        target: The place of the comment.
        comment: The output of `render`.

    Returns:
        What was done, in a line.

    Raises:
        ForgeError: if the forge refuses or keeps failing.
    """
    for wait_s in _WAITS_S:
        try:
            return _post_once(api, target, comment)
        except PassingForgeError as error:
            time.sleep(min(error.retry_after_s or wait_s, 60))
    return _post_once(api, target, comment)


def _post_once(api: ForgeApi, target: Target, comment: str) -> str:
    number = target.number or _pull_request_of(api, target)
    if number is None:
        return f"no open pull request has the head {target.commit[:12]}; nothing is posted"
    author = target.author or _own_login(api)
    comments = f"/repos/{target.repository}/issues/{number}/comments"
    for existing in api.pages(comments):
        if _login(existing) == author and _first_line(existing) == target.marker:
            api.request(
                "PATCH",
                f"/repos/{target.repository}/issues/comments/{int(existing['id'])}",
                {"body": comment},
            )
            return f"updated the comment on pull request {number}"
    api.request("POST", comments, {"body": comment})
    return f"posted a comment on pull request {number}"


def _pull_request_of(api: ForgeApi, target: Target) -> int | None:
    for pull_request in api.pages(f"/repos/{target.repository}/pulls?state=open"):
        head = pull_request.get("head") or {}
        source = (head.get("repo") or {}).get("full_name", "")
        if head.get("sha") == target.commit and source.lower() == target.repository.lower():
            return int(pull_request["number"])
    return None


def _own_login(api: ForgeApi) -> str:
    """Return the token's user; GitHub Actions may not ask, and always uses the same bot."""
    try:
        return str(api.request("GET", "/user").get("login", ""))
    except ForgeError as error:
        if error.status == 403 and os.environ.get("GITHUB_ACTIONS") == "true":
            return _ACTIONS_BOT
        if error.status in (401, 403, 404):
            raise ForgeError(
                f"the forge does not say which user the token belongs to ({error}). Pass --author"
            ) from error
        raise


def _login(comment: Mapping[str, Any]) -> str:
    return str((comment.get("user") or {}).get("login", ""))


def _first_line(comment: Mapping[str, Any]) -> str:
    return str(comment.get("body") or "").partition("\n")[0].rstrip("\r")


def _arguments(words: Sequence[str], env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m ci.sticky_comment",
        description="Post a file as the one comment of a stack on a pull request.",
        epilog="Reads the token from FORGE_TOKEN or GITHUB_TOKEN. Other options default to the "
        "variables of GitHub Actions or Woodpecker. Example: python3 -m ci.sticky_comment "
        "--stack llama-cpp --file plan-report/comment.md",
    )
    parser.add_argument("--stack", required=True, help="update the comment of this stack")
    parser.add_argument("--file", required=True, type=Path, help="post this report, in Markdown")
    parser.add_argument("--repository", default=_repository(env), help="owner/name")
    parser.add_argument("--pull-request", type=int, default=_number(env), help="its number")
    parser.add_argument("--api", default=_api_url(env), help="such as https://api.github.com")
    parser.add_argument("--commit", default=_commit(env), help="head of the pull request")
    parser.add_argument("--run-url", default=_run_url(env), help="link to the whole report")
    parser.add_argument(
        "--author", default="", help="update only this user's comment (default: the token's user)"
    )
    arguments = parser.parse_args(words)
    for name, pattern in {
        "stack": r"[a-z0-9][a-z0-9-]{0,62}",
        "repository": r"[\w.-]+/[\w.-]+",
        "api": r"https?://[^\s@?#]+",
        "commit": r"([0-9a-f]{40}|[0-9a-f]{64})?",
        "run_url": r"(https?://[^\s()<>\[\]`]+)?",
    }.items():
        value = getattr(arguments, name)
        if not re.fullmatch(pattern, value, re.ASCII):
            parser.error(f"--{name.replace('_', '-')} is {value!r:.80}; expected {pattern}")
    if arguments.pull_request is None and not arguments.commit:
        parser.error("pass --pull-request, or --commit to find the one of which it is the head")
    return arguments


def _repository(env: Mapping[str, str]) -> str:
    return env.get("GITHUB_REPOSITORY") or env.get("CI_REPO", "")


def _number(env: Mapping[str, str]) -> int | None:
    ref = re.fullmatch(r"refs/pull/(\d+)/\w+", env.get("GITHUB_REF", ""))
    number = ref.group(1) if ref else env.get("CI_COMMIT_PULL_REQUEST", "")
    return int(number) if number.isdecimal() else None


def _commit(env: Mapping[str, str]) -> str:
    # GITHUB_SHA is GitHub's test merge, which a reader of the pull request does not know.
    return env.get("HEAD_SHA") or env.get("CI_COMMIT_SHA", "")


def _api_url(env: Mapping[str, str]) -> str:
    if env.get("GITHUB_API_URL"):
        return env["GITHUB_API_URL"]
    forge = env.get("CI_FORGE_URL", "").rstrip("/")
    if env.get("CI_FORGE_TYPE") != "github":
        return f"{forge}/api/v1"
    return "https://api.github.com" if forge == "https://github.com" else f"{forge}/api/v3"


def _run_url(env: Mapping[str, str]) -> str:
    if env.get("GITHUB_RUN_ID"):
        repository = f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}"
        return f"{repository}/actions/runs/{env['GITHUB_RUN_ID']}"
    return env.get("CI_PIPELINE_URL", "")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # One byte more than can be shown tells that the file is too long.
            content = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ForgeError(f"{path} cannot be read ({error.strerror})") from error
    if not content.strip():
        raise ForgeError(f"{path} is empty; expected the plan's report")
    return content.decode(errors="replace")


def main(words: Sequence[str]) -> int:
    """Post the comment. Exit code: 0 done, 1 an error in one line on stderr, 2 wrong usage."""
    arguments = _arguments(words, os.environ)
    token = (os.environ.get("FORGE_TOKEN") or os.environ.get("GITHUB_TOKEN", "")).strip()
    target = Target(
        repository=arguments.repository,
        stack=arguments.stack,
        commit=arguments.commit,
        number=arguments.pull_request,
        author=arguments.author,
    )
    try:
        if not token:
            raise ForgeError("neither FORGE_TOKEN nor GITHUB_TOKEN is set; expected one of them")
        if not re.fullmatch(r"[!-~]+", token):
            raise ForgeError("the token contains a blank or a non-ASCII character. Store it again")
        comment = render(_read(arguments.file), target, run_url=arguments.run_url)
        if token in comment:
            raise ForgeError(f"{arguments.file} contains the token; nothing is posted")
        done = post(ForgeApi(arguments.api, token), target, comment)
    except ForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
