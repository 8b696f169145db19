"""The homes of a model: which pool is asked first, and what is said where none takes a request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .admission import Admission
from .decision import Refusal
from .refusal import RefusedError


async def in_order(homes: Sequence[Admission], model: str, arrived: float) -> Sequence[Admission]:
    """Return a model's homes in the order in which they are asked.

    That is the declared one, unless the home would end another model for one that is loaded in
    its second home: models would move to and fro wherever two consumers take turns.

    Args:
        homes: The admissions of its pools, its home first.
        model: The id of the model.
        arrived: When the request came, by the admissions' clock.
    """
    home, *others = homes
    if not others or await home.has_room(model, arrived):
        return homes
    for other in others:
        if await other.has(model, arrived):
            return (other, *(it for it in homes if it is not other))
    return homes


async def not_served(model: str, refusals: Sequence[tuple[Admission, Refusal]]) -> RefusedError:
    """Return the answer to a request that no home of its model takes.

    Args:
        model: The id of the model.
        refusals: What each said, its home first.

    Returns:
        The home's reason, with the shortest wait of any.
    """
    explained = await asyncio.gather(*(it.explained(why) for it, why in refusals))
    refusal = explained[0]
    retry_after_s = min(it.retry_after_s for it in explained)
    free = refusal.mib_free
    facts: dict[str, object] = {
        "model": model,
        "mib_needed": round(refusal.mib_needed),
        "mib_free": None if free is None else round(free),
        "holder": refusal.holder,
    }
    if refusal.failure is not None:
        facts["failure"] = refusal.failure
    return RefusedError(
        503,
        refusal.code,
        f"model {model} is not served now: {refusal.reason}: {refusal.holder}. "
        f"Retry in {retry_after_s} s",
        retry_after_s=retry_after_s,
        facts=facts,
    )
