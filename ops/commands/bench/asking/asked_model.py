"""One model in a session: what is known about it, and its progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ops.commands.bench.asking.watch import Watch
from ops.commands.bench.results import Answer, ModelRun
from ops.endpoint.client import Endpoint


class AskedModel:
    """One model in a session."""

    def __init__(
        self,
        run: ModelRun,
        *,
        endpoint: Endpoint,
        earlier: Iterable[Answer],
        prompt_sha256: str,
    ) -> None:
        """Take over what earlier sessions learned.

        Args:
            run: The model.
            endpoint: Shows what is loaded.
            earlier: All answers of the run; those of this model to this prompt tell its pace.
            prompt_sha256: Identifies the prompt.
        """
        self.run = run
        self.watch = Watch(endpoint, run.id)
        self.token_ids: Mapping[str, int] | None = None
        """None: not warmed up yet."""
        self.load_s = run.cold_load_s
        self.warm_s = [
            answer.wall_s
            for answer in earlier
            if not answer.cold
            and (answer.key.model_sha256, answer.key.prompt_sha256) == (run.sha256, prompt_sha256)
        ]
        """Durations of answers and failures alike: both take time."""
        self.done = 0
        """Answered units, from the start of the schedule."""
        self.is_cold = False
        """Whether the next answer has to wait for a load."""
        self.failures_in_a_row = 0
