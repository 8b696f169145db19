"""A whole `bench run`: photos, endpoint, answers, report."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from llama_swap_config.lock.locked import LOCK_PATH, LockedModel
from ops.cluster.port_forward import to_production
from ops.commands.bench import session
from ops.commands.bench.album.collect import collect, collected
from ops.commands.bench.answers import Journal, read_journal
from ops.commands.bench.asking.exchange import Asker
from ops.commands.bench.asking.measure import Measurement
from ops.commands.bench.asking.methods import Prompt, prompt_of
from ops.commands.bench.asking.plan import Ended, Plan
from ops.commands.bench.asking.progress import Display
from ops.commands.bench.asking.rubric import Rubric, read_rubric, rubric_of
from ops.commands.bench.next_command import resume_command
from ops.commands.bench.options import RunOptions, completed_from_run
from ops.commands.bench.outputs import write_outputs
from ops.commands.bench.session import Settings
from ops.endpoint.api_key import api_key
from ops.endpoint.client import Endpoint, at, base_url
from ops.endpoint.errors import CheckError
from ops.errors import OpsError, one_line
from ops.machine.parent import ended_with_this
from ops.machine.signals import ended_by_signals
from ops.options import choose
from ops.report.durations import span
from stacks.pools import DeclaredPool

_LIST_TIMEOUT_S = 10
_WINDOW_RESERVE_S = 30
"""Seconds of a window kept for the report; no answer starts in them."""


def run_bench(options: RunOptions, load_pools: Callable[[Path], tuple[DeclaredPool, ...]]) -> None:
    """Ask what is missing and write the report.

    Args:
        options: The options of the command.
        load_pools: Loads the pools with a lock.

    Raises:
        OpsError: for errors that the operator can fix; the answers are kept.
    """
    if options.url is not None:
        options = replace(options, url=base_url(options.url))
    options = completed_from_run(options)
    lock = LOCK_PATH if options.settings.lock is None else Path(options.settings.lock)
    locked = _chosen(options.settings, load_pools(lock))
    display = Display(Console(stderr=True))
    run_dir = session.begin(options.settings, options.run_dir, anew=options.anew, say=display.say)
    with ended_by_signals():
        with Journal(run_dir, retry_failed=options.retry_failed) as journal:
            rubric = _rubric(options, run_dir)
            prompt = prompt_of(options.settings.method, rubric)
            plan = _plan(options, run_dir, journal, locked, rubric, prompt, display)
            if options.window_s is None:
                _ask_and_report(options, run_dir, journal, plan, display)
                return
        _ask_in_window(options, run_dir)


def _ask_and_report(
    options: RunOptions, run_dir: Path, journal: Journal, plan: Plan, display: Display
) -> None:
    ended = _ask(options, run_dir, journal, plan, display)
    resume = _resume_command(options, run_dir)
    skipped = [f"skipped {model}: {why}" for model, why in ended.skipped.items()]
    asked = {(plan.prompt.sha256, model.sha256) for model in plan.models}
    if not any((key.prompt_sha256, key.model_sha256) in asked for key in journal.answered):
        why = skipped[0] if skipped else "time was up before the first answer"
        raise OpsError(f"no model answered: {why}. Resume with {resume}.")
    write_outputs(run_dir, replace(options.outputs, method=plan.prompt.method))
    if skipped:
        resume = _resume_command(options, run_dir, "--retry-failed")
        raise OpsError(f"{'; '.join(skipped)}. Resume with {resume}.")
    if ended.out_of_time or ended.units < len(plan.units):
        display.say(f"some questions are left; resume with {resume}")
        return
    # Only now: a run without a report is not finished.
    journal.note("finished", at=time.time())


def _plan(
    options: RunOptions,
    run_dir: Path,
    journal: Journal,
    locked: tuple[LockedModel, ...],
    rubric: Rubric,
    prompt: Prompt,
    display: Display,
) -> Plan:
    """Prepare everything that needs no GPU."""
    settings = options.settings
    # Collected photos need neither the folder nor Immich.
    photos = collected(run_dir, sample=settings.sample)
    if photos is None:
        with settings.source.opened(leave_out=run_dir) as source:
            photos = collect(
                run_dir, source, sample=settings.sample, seed=settings.seed, say=display.say
            )
    models = session.models_of(locked, run_dir)
    session.note_session(
        journal,
        run_dir,
        prompt=prompt,
        rubric=rubric,
        models=models,
        settings=settings,
        thumbnails=options.outputs.thumbnails,
        engine_build=options.engine_build,
        command=("python", "-m", "ops", *sys.argv[1:]),
        reached_by=_reached_by(options),
        say=display.say,
    )
    units = session.units_of(prompt, photos, run_dir, journal, settings=settings)
    return Plan(prompt=prompt, units=units, models=models, images=run_dir / "images")


def _ask(
    options: RunOptions, run_dir: Path, journal: Journal, plan: Plan, display: Display
) -> Ended:
    begun = time.monotonic()
    within_s = options.within_s
    with ExitStack() as stack:
        url = options.url or stack.enter_context(to_production(options.settings.pool))
        endpoint = stack.enter_context(Endpoint(url, key=api_key()))
        asker = stack.enter_context(
            Asker(endpoint.url, key=endpoint.key, timeout_s=options.timeout_s)
        )
        _check_answers(endpoint, plan)
        stack.enter_context(display)
        try:
            return Measurement(
                replace(plan, deadline=begun + within_s if within_s else None),
                journal,
                endpoint=endpoint,
                asker=asker,
                display=display,
            ).run()
        except BaseException:
            if journal.answered:
                kept = len(journal.answered)
                resume = _resume_command(options, run_dir)
                display.say(f"stopped; kept {kept} answers, resume with {resume}")
            raise


def _check_answers(endpoint: Endpoint, plan: Plan) -> None:
    """Refuse an endpoint that is unreachable or lacks a model, before anything loads."""
    try:
        listed = at(endpoint.get("/v1/models", timeout_s=_LIST_TIMEOUT_S).document(), "data")
    except CheckError as error:
        raise OpsError(f"the endpoint {endpoint.url} does not list models: {error}") from error
    offered = [at(entry, "id") for entry in listed] if isinstance(listed, list) else []
    for model in plan.models:
        if model.id not in offered:
            names = one_line(", ".join(map(str, offered))) or "none"
            raise OpsError(f"{endpoint.url} does not offer {model.id}; it offers: {names}")


def _ask_in_window(options: RunOptions, run_dir: Path) -> None:
    """Run this command again inside a GPU window, where the endpoint is then."""
    window_s = options.window_s or 0
    within_s = max(1, window_s - _WINDOW_RESERVE_S)
    outputs = options.outputs
    # The run has recorded the other options.
    arguments = ["bench", "run", "--run", str(run_dir), "--within", f"{within_s}s"]
    arguments += ["--in-window", f"{window_s}s", "--timeout-s", str(options.timeout_s)]
    for model in options.settings.models:
        arguments += ["--model", model]
    if outputs.top_k is not None:
        arguments += ["--top-k", str(outputs.top_k)]
    arguments += ["--retry-failed"] if options.retry_failed else []
    arguments += ["--engine-build", options.engine_build or ""]
    arguments += ["--json"] if outputs.as_json else []
    arguments += ["--export", "csv"] if outputs.export_csv else []
    code = in_window(window_s, arguments, pool=options.settings.pool)
    if code == 1:
        raise OpsError("the command in the window failed; its error is above")
    if code:
        resume = _resume_command(options, run_dir)
        raise OpsError(f"the window ended with exit code {code}. Resume with {resume}.")


def in_window(window_s: int, arguments: Sequence[str], *, pool: str | None = None) -> int:
    """Run a command of `python -m ops` inside a GPU window, and return its exit code.

    Args:
        window_s: Length of the window in seconds.
        arguments: The words after `python -m ops`; LLAMA_SWAP_URL names the endpoint.
        pool: The pool whose cards it borrows (default: the only one with tenants).
    """
    ops = [sys.executable, "-m", "ops"]
    of_pool = [] if pool is None else ["--pool", pool]
    command = [*ops, "window", *of_pool, "--for", f"{window_s}s", "--", *ops, *arguments]
    process = subprocess.Popen(command)
    try:
        with ended_with_this(process.pid):
            return process.wait()
    except BaseException as ended:
        # Ctrl-C has reached the window too. It restores the tenants before it ends; only
        # then may this command end, too.
        if not isinstance(ended, KeyboardInterrupt):
            process.terminate()
        process.wait()
        raise


def _chosen(settings: Settings, pools: tuple[DeclaredPool, ...]) -> tuple[LockedModel, ...]:
    """Find the models to ask, with their files (default: all vision models of the pool)."""
    asked = next(pool for pool in pools if settings.pool in (None, pool.name))
    seeing = {
        locked.model.id: locked
        for locked in asked.declaration.locked
        if locked.projector is not None
    }
    own = {model.id for model in asked.declaration.models}
    for pool in pools:
        for model in pool.declaration.models:
            if model.id in settings.models and model.id not in own:
                raise OpsError(
                    f"--model is {model.id!r}, which is of pool {pool.name}; expected one "
                    f"of pool {asked.name}: {', '.join(seeing)}. Pass --pool {pool.name}"
                )
    return choose(seeing, settings.models)


def _rubric(options: RunOptions, run_dir: Path) -> Rubric:
    """Read the rubric that was typed, else the run's last one, else the repository's."""
    if options.rubric is not None:
        return read_rubric(options.rubric)
    sessions = read_journal(run_dir, "session")
    if not sessions:
        return read_rubric()
    return rubric_of(sessions[-1]["provenance"]["rubric"], where=f"the rubric of {run_dir}")


def _resume_command(options: RunOptions, run_dir: Path, *more: str) -> str:
    """Return the command that resumes the run."""
    return f"`{resume_command(run_dir, *_reached_by(options), *more)}`"


def _reached_by(options: RunOptions) -> tuple[str, ...]:
    """Return the options that reach the models in the same way again."""
    words: list[str] = []
    window_s = options.window_s or options.in_window_s
    if window_s is not None:
        words += ["--window", _duration(window_s)]
    elif options.within_s is not None:
        words += ["--within", _duration(options.within_s)]
    if options.url is not None and "url" in options.given:
        words += ["--url", options.url]
        words += ["--engine-build", options.engine_build] if options.engine_build else []
    return tuple(words)


def _duration(duration_s: int) -> str:
    return span(duration_s).replace(" ", "")
