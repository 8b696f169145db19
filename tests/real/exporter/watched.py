"""The exporter beside a real front end with tiny models, and a client that measures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from in_pod.exporter.plan import Plan, PlannedModel
from in_pod.exporter.timing import Timing
from llama_swap_config.model import Model
from ops.commands.serve.run import Served
from tests.in_pod.exporter.running import QUICK, Running, exporter, write_plan

PREDICTED_MIB = 100.0


def plan_of(served: Served, models: tuple[Model, ...]) -> Plan:
    return Plan(
        front_end=served.front_end,
        engine_build=11434,
        config_sha256="0" * 64,
        models=tuple(
            PlannedModel(id=model.id, aliases=model.aliases, vram_mib=PREDICTED_MIB)
            for model in models
        ),
    )


@contextmanager
def watched(
    served: Served, models: tuple[Model, ...], folder: Path, *, timing: Timing = QUICK
) -> Iterator[Running]:
    """Watch a served front end; it is followed when the context begins."""
    plan = write_plan(folder / "exporter-plan.json", plan_of(served, models))
    with exporter(plan, served.url, timing=timing) as running:
        running.wait_until_up()
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client that measures its own requests."""

    url: str

    def ask(
        self, model: str, *, tokens: int = 8, timeout_s: float = 120, **more: Any
    ) -> tuple[int, float]:
        """Return status and seconds of a chat; status 0 if the client gave up."""
        body = {
            "model": model,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": "ba"}],
        }
        started = time.perf_counter()
        try:
            answer = httpx2.post(
                f"{self.url}/v1/chat/completions",
                json=body | more,
                timeout=timeout_s,
                trust_env=False,
            )
            status = answer.status_code
        except httpx2.TimeoutException:
            status = 0
        return status, time.perf_counter() - started
