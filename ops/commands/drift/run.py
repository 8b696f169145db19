"""Ask all sources at the same time, with a time limit, and join their differences."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from llama_swap_config.errors import ConfigError
from ops.cluster import environment
from ops.cluster.api import KubeApi
from ops.commands.drift import cluster, gateway, server, terraform, volume
from ops.commands.drift.declared import Declared
from ops.commands.drift.difference import (
    SOURCES,
    Difference,
    Look,
    NotAskedError,
    Source,
    merge,
)
from ops.commands.drift.working_tree import SETTINGS_FILE
from ops.endpoint.errors import CheckError
from ops.errors import OpsError, one_line

State = Literal["asked", "not asked", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Whether a source was asked, and whether it answered."""

    source: Source
    state: State
    reason: str = ""
    """Why it was not asked or not reached; empty if it answered."""
    pool: str = ""
    """The pool that it was asked about; empty: all of them, or the only one."""

    @property
    def label(self) -> str:
        """Its name, and the pool's."""
        return f"{self.source} of {self.pool}" if self.pool else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The result of all sources."""

    models: tuple[str, ...]
    """The declared ids, of the only pool."""
    sources: tuple[SourceState, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Pool -> its declared ids, where there are several (default: there is one)."""

    @property
    def unreachable(self) -> tuple[SourceState, ...]:
        """The sources that were asked and did not answer."""
        return tuple(state for state in self.sources if state.state == "unreachable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which sources to ask, and where they are."""

    sources: tuple[Source, ...] = ()
    """Ask only these, and fail if one cannot be asked; empty: all that the environment names."""
    url: str | None = None
    volume: Path | None = None
    timeout_s: float = 180
    """Time limit of each source, in seconds."""
    pool: str | None = None
    """Compare only this pool (default: all of them)."""

    def why_not(self, source: Source) -> str:
        """Why a source is not asked; empty if it is."""
        if self.sources:
            return "" if source in self.sources else "not named by --source"
        cluster_named = bool(os.environ.get("KUBE_CONFIG_PATH"))
        state_named = bool(os.environ.get("PG_CONN_STR") or os.environ.get("PGHOST"))
        return {
            "terraform": "" if state_named else "set PG_CONN_STR or PGHOST",
            "cluster": "" if cluster_named else "set KUBE_CONFIG_PATH and KUBE_CTX",
            "volume": "" if self.volume else "pass --volume DIR",
            "server": "" if self.url or cluster_named else "pass --url or set KUBE_CONFIG_PATH",
            "gateway": "" if cluster_named else "set KUBE_CONFIG_PATH and KUBE_CTX",
        }[source]

    def check(self) -> None:
        """Require at least one source.

        Raises:
            OpsError: if there is none; it says how to name each source.
        """
        why_not = {source: self.why_not(source) for source in SOURCES}
        if all(why_not.values()):
            ways = "; ".join(f"{source}: {why}" for source, why in why_not.items())
            raise OpsError(f"no source to compare the working tree with; {ways}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A source, and the pool that it is asked about."""

    source: Source
    declared: Declared
    """The pool; the first one, with the others, if it is asked about all at once."""
    pool: str
    """As of SourceState."""
    why_not: str
    """Why it is not asked; empty if it is."""

    @property
    def label(self) -> str:
        """Its name, and the pool's."""
        return SourceState(source=self.source, state="asked", pool=self.pool).label


def drift(declared: Declared, ask: Ask, *, say: Callable[[str], None]) -> Drift:
    """Compare the declaration with every source to be asked.

    Args:
        declared: The working tree.
        ask: Which sources to ask.
        say: Takes a line of progress.
    """
    places = [place for source in SOURCES for place in _places(source, declared, ask)]
    asked = {place.label: place for place in places if not place.why_not}
    answers = _ask_all({label: _question(place, ask) for label, place in asked.items()}, ask, say)
    states, findings, notes = [], [], list(declared.notes)
    for place in places:
        source, pool = place.source, place.pool
        answer = answers.get(place.label)
        if isinstance(answer, Look):
            states.append(SourceState(source=source, state="asked", pool=pool))
            findings += [
                (source, replace(finding, pool=pool) if pool else finding)
                for finding in answer.findings
            ]
            notes += [f"{place.label}: {note}" for note in answer.notes]
            continue
        state: State = "not asked"
        reason = place.why_not
        if isinstance(answer, NotAskedError):
            reason = str(answer)
        elif answer is not None:
            state, reason = "unreachable", _reason(answer)
        states.append(SourceState(source=source, state=state, reason=reason, pool=pool))
    # The cluster knows who wrote a field and when, so its findings come first.
    findings.sort(key=lambda pair: pair[0] != "cluster")
    return Drift(
        models=tuple(model.id for model in declared.models),
        sources=tuple(states),
        differences=merge(findings),
        notes=tuple(notes),
        pools={
            pool.pool: tuple(model.id for model in pool.models)
            for pool in declared.chosen(ask.pool)
            if pool.pool
        },
    )


def _places(source: Source, declared: Declared, ask: Ask) -> Iterator[_Place]:
    """List the pools that a source is asked about, each by itself or all at once."""
    why_not = ask.why_not(source)
    chosen = declared.chosen(ask.pool)
    if why_not or source in ("terraform", "gateway"):
        if source == "gateway" and ask.pool not in (None, declared.settings.pool):
            why_not = why_not or "it is of all pools: omit --pool"
        yield _Place(source=source, declared=declared, pool="", why_not=why_not)
        return
    option = {"volume": "--volume" if ask.volume else "", "server": "--url" if ask.url else ""}
    first, *_ = chosen
    for pool in chosen:
        if option.get(source) and pool is not first:
            own = f"pass --pool {pool.pool} to compare this one"
            why_not = f"{option[source]} is of pool {first.pool}; {own}"
        yield _Place(source=source, declared=pool, pool=pool.pool, why_not=why_not)


def _question(place: _Place, ask: Ask) -> Callable[[], Look]:
    declared = place.declared

    def ask_cluster() -> Look:
        with KubeApi(environment.check_cluster()) as api:
            return cluster.look(declared, api)

    def ask_volume() -> Look:
        if ask.volume is None:
            raise OpsError("pass --volume DIR, where the volume is mounted")
        return volume.look(declared, ask.volume)

    def ask_server() -> Look:
        named = bool(os.environ.get("KUBE_CONFIG_PATH"))
        in_cluster = ask.url is None or (named and server.is_service(declared, ask.url))
        target = environment.check_cluster() if in_cluster else None
        return server.look(declared, ask.url, target=target, insist=bool(ask.sources))

    def ask_gateway() -> Look:
        if declared.settings.gateway is None and not ask.sources:
            raise NotAskedError(f"gateway is None in {SETTINGS_FILE}")
        with KubeApi(environment.check_cluster()) as api:
            return gateway.look(declared, api, insist=bool(ask.sources))

    def ask_terraform() -> Look:
        return terraform.look(declared, timeout_s=ask.timeout_s, pool=ask.pool)

    questions: dict[Source, Callable[[], Look]] = {
        "terraform": ask_terraform,
        "cluster": ask_cluster,
        "volume": ask_volume,
        "server": ask_server,
        "gateway": ask_gateway,
    }
    return questions[place.source]


def _ask_all(
    questions: dict[str, Callable[[], Look]], ask: Ask, say: Callable[[str], None]
) -> dict[str, Look | Exception]:
    done: queue.SimpleQueue[tuple[str, Look | Exception]] = queue.SimpleQueue()

    def answer(label: str, question: Callable[[], Look]) -> None:
        try:
            done.put((label, question()))
        except Exception as error:  # The other sources are shown in any case.
            done.put((label, error))

    for label, question in questions.items():
        # A volume that hangs blocks its thread, but not this process.
        threading.Thread(target=answer, args=(label, question), daemon=True).start()
    answers: dict[str, Look | Exception] = {}
    deadline = time.monotonic() + ask.timeout_s
    while len(answers) < len(questions):
        say("asking " + ", ".join(name for name in questions if name not in answers))
        try:
            label, came = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            late = OpsError(f"no answer within {ask.timeout_s:g} s")
            return {name: late for name in questions} | answers
        answers[label] = came
    return answers


def _reason(error: Exception) -> str:
    text = one_line(str(error), limit=400)
    if isinstance(error, OpsError | ConfigError | CheckError):
        return text
    return f"{type(error).__name__}: {text}"
