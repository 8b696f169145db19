"""Running a build: its failures in one line, and its end when the command ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine.build_run import BuildFailedError, run_build


def run(log: Path, *statements: str) -> None:
    run_build(
        "it",
        [sys.executable, "-c", "; ".join(statements)],
        log=log,
        progress=str,
        say=print,
        env={},
    )


def test_a_failing_build_shows_its_last_lines_and_the_log(tmp_path: Path) -> None:
    with pytest.raises(
        BuildFailedError, match=r"the build of it failed \(one \| two\)\. See .*build\.log"
    ):
        run(tmp_path / "build.log", "print('one')", "print('two')", "raise SystemExit(1)")


def test_a_full_disk_is_named_whether_the_compiler_or_this_program_finds_it(
    tmp_path: Path,
) -> None:
    expected = r"the disk of .* is full \(\d+ MiB free\), so it was not built\. Free space and run"
    with pytest.raises(OpsError, match=expected) as failure:
        run(tmp_path / "build.log", "open('/dev/full', 'w', buffering=1).write('x\\n')")
    assert not isinstance(failure.value, BuildFailedError)
    with pytest.raises(OpsError, match=expected):
        # Opened for the output, it cannot take a line either.
        run(
            tmp_path / "build.log",
            "import errno, os",
            "raise OSError(errno.ENOSPC, os.strerror(28))",
        )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "go: k8s.io/api@v0.36.3: dial tcp: lookup modules.invalid: no such host",
            "dial tcp: lookup modules.invalid: no such host",
        ),
        (
            "error: Failed to fetch: error sending request for url (http://pypi.invalid/simple)",
            "error sending request for url (http://pypi.invalid/simple)",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(<...>: Failed to "
            "establish a new connection: [Errno 111] Connection refused')': /simple/",
            "Failed to establish a new connection: [Errno 111] Connection refused",
        ),
    ],
)
def test_a_registry_that_does_not_answer_is_one_line(
    tmp_path: Path, line: str, reason: str
) -> None:
    with pytest.raises(OpsError, match=r"^no package registry answers") as e:
        run(tmp_path / "build.log", "print('first')", f"print({line!r})", "raise SystemExit(1)")
    assert not isinstance(e.value, BuildFailedError)
    assert f"({reason}), so it was not built. Check the network" in str(e.value)
