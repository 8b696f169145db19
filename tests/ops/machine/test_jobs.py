"""How Go and ninja share the machine's jobs."""

from __future__ import annotations

import os
from pathlib import Path

from ops.machine.jobs import Jobs


def offered(environment: dict[str, str]) -> int:
    """Take every job from the pipe, as ninja would, and return them."""
    path = environment["MAKEFLAGS"].partition("fifo:")[2]
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        taken = os.read(pipe, 100)
        os.write(pipe, taken)
        return len(taken)
    except BlockingIOError:
        return 0
    finally:
        os.close(pipe)


def test_ninja_has_one_job_beside_go_and_all_of_them_after_it(tmp_path: Path) -> None:
    jobs = Jobs(most=3)
    with jobs.ninja(tmp_path) as environment:
        # One job more than in the pipe is ninja's own.
        assert offered(environment) == 2
        assert jobs.go_turn(timeout_s=0)
        with jobs.go() as of_go:
            assert (of_go, offered(environment)) == (2, 0)
        assert offered(environment) == 2
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_ninja_uses_are_taken_back_when_it_returns_them(tmp_path: Path) -> None:
    jobs = Jobs(most=3)
    with jobs.ninja(tmp_path) as environment:
        pipe = os.open(environment["MAKEFLAGS"].partition("fifo:")[2], os.O_RDWR)
        compiling = os.read(pipe, 2)
        assert jobs.go_turn(timeout_s=0)
        with jobs.go():
            os.write(pipe, compiling)
            jobs.balance()
            assert offered(environment) == 0
        os.close(pipe)


def test_two_go_builds_take_turns() -> None:
    jobs = Jobs(most=3)
    assert jobs.go_turn(timeout_s=0)
    with jobs.go():
        assert not jobs.go_turn(timeout_s=0.01)
    assert jobs.go_turn(timeout_s=0)


def test_jobs_fit_the_free_memory() -> None:
    assert 1 <= Jobs().most <= (os.cpu_count() or 1) + 1
