"""Run the checks of a gateway as one of its consumers."""

from __future__ import annotations

from functools import partial

from llama_swap_config.gateway.consumer import Consumer
from llama_swap_config.model import Model
from ops.commands.smoke import consumer_checks, endpoint_checks
from ops.commands.smoke.model_checks import Asker, checks_of
from ops.commands.smoke.run import ENDPOINT_TIMEOUT_S, Checks, Result
from ops.endpoint.client import Endpoint
from ops.report.terminal import Say


def run_as(
    consumer: Consumer,
    endpoint: Endpoint,
    *,
    registry: tuple[Model, ...],
    models: tuple[Model, ...],
    random_weights: bool,
    timeout_s: float,
    say: Say,
) -> Result:
    """Run each check once; the gateway does not say which models were loaded before.

    Args:
        consumer: Who asks.
        endpoint: The gateway, with a key of the consumer.
        registry: All models.
        models: Those of the consumer to check, one after another.
        random_weights: Whether the models cannot name a colour.
        timeout_s: Seconds for one answer of a model, including its load.
        say: Receives the name of the running check.
    """
    checks = Checks(endpoint.key, say)
    for name, check in (
        ("reachable", consumer_checks.reachable),
        ("key", partial(consumer_checks.key, consumer=consumer)),
        (
            "models",
            partial(
                endpoint_checks.models,
                wanted=consumer.models,
                whose=f"of {consumer.name}, whose key LLAMA_API_KEY must hold",
            ),
        ),
        (
            "other model",
            partial(
                consumer_checks.other_model,
                consumer=consumer,
                registry=[model.id for model in registry],
            ),
        ),
        ("unknown model", consumer_checks.unknown_model),
        ("admin paths", consumer_checks.admin),
    ):
        short_s = min(timeout_s, ENDPOINT_TIMEOUT_S)
        checks.run(name, partial(check, endpoint, timeout_s=short_s), model=None)
    for model in models:
        asker = Asker(
            endpoint=endpoint, model=model, timeout_s=timeout_s, random_weights=random_weights
        )
        for name, request in checks_of(model):
            checks.run(name, partial(request, asker), model=model.id)
    return Result(
        url=endpoint.url, front_end=None, consumer=consumer.name, checks=tuple(checks.results)
    )
