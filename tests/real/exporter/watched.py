"""The exporter beside a real front end with tiny models, and a client that measures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from in_pod.exporter.plan import Plan, PlannedModel
from in_pod.exporter.timing import Timing
from llama_swap_config.model import Model
from ops.commands.serve.run import Served
from tests.in_pod.exporter.running import QUICK, Running, exporter, write_plan

PREDICTED_MIB = 100.0


def tiny(id: str, **fields: Any) -> Model:
    return Model(id=id, repository="tiny/random", quantisation="F32", **fields)


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
    """A client that measures its own requests, from the first byte to the last."""

    url: str

    def ask(
        self, model: str, *, tokens: int = 8, timeout_s: float = 120, **more: Any
    ) -> tuple[int, float]:
        """Return status and seconds of a chat; status 0 if the client gave up."""
        message = {"role": "user", "content": "ba"}
        body = {"model": model, "max_tokens": tokens, "messages": [message]} | more
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
        headers = {"Content-Type": "application/json"}
        with closing(connection):
            connection.connect()
            started = time.perf_counter()
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except TimeoutError:
                status = 0
            return status, time.perf_counter() - started
