"""One model in a session: what is known of it, and how far it is."""

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
        """Know what earlier sessions found out.

        Args:
            run: The model.
            endpoint: For looks at what is loaded.
            earlier: All answers of the run; those of this model to this prompt tell its pace.
            prompt_sha256: What is asked.
        """
        self.run = run
        self.watch = Watch(endpoint, run.id)
        self.token_ids: Mapping[str, int] | None = None
        """None: it was not warmed up yet."""
        self.load_s = run.cold_load_s
        self.warm_s = [
            answer.wall_s
            for answer in earlier
            if not answer.cold
            and (answer.key.model_sha256, answer.key.prompt_sha256) == (run.sha256, prompt_sha256)
        ]
        """Of answers and failures alike: both take of the time that is there."""
        self.done = 0
        """Units from the schedule's beginning that are answered."""
        self.is_cold = False
        """Whether the next answer has to wait for a load."""
        self.failures_in_a_row = 0
