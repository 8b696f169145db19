"""Which model to take, whether that is decided, and how many more photos would decide it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log10
from statistics import NormalDist

from ops.commands.bench.statistics import costs, sentences
from ops.commands.bench.statistics.standing import (
    Evidence,
    beats_chance,
    choose,
    comparison_of,
    standing_of,
)
from ops.commands.bench.summary import Difference, Verdict

_POWER = 0.8
_QUANTILE = NormalDist().inv_cdf


def decide(evidence: Evidence, caveats: Sequence[str]) -> Verdict:
    """Return the verdict of a run.

    A model is taken if it is better than every other, by however little, or if it is the fastest
    of those whose differences do not matter. If neither is known, no model is taken, and the
    number of photos that would decide is estimated. A model that is not known to be better than
    chance is not taken, nor any with random weights.
    """
    if not evidence.models:
        return _undecided(evidence, sentences.none_answered(evidence), caveats)
    if len(evidence.models) == 1:
        return _undecided(evidence, sentences.only_one(evidence), caveats)
    if evidence.metric is None:
        return _undecided(evidence, sentences.no_judgement(evidence), caveats)
    if not evidence.sufficient:
        return _undecided(evidence, sentences.too_few(evidence), caveats)
    standing = standing_of(evidence)
    if standing.open:
        more = max(
            more_photos(
                comparison_of(evidence, standing.leader, model),
                photos=evidence.photos,
                comparisons=len(evidence.differences),
                margin=evidence.margin,
            )
            for model in standing.open
        )
        sentence = sentences.undecided(evidence, standing, more)
        until = [] if evidence.random_weights else costs.until_then(standing)
        return _undecided(evidence, sentence, [*until, *caveats], more)
    take = choose(evidence, standing)
    if not beats_chance(evidence, take):
        sentence = sentences.no_better_than_chance(evidence, standing)
        return _undecided(evidence, sentence, caveats)
    sentence = (
        sentences.equivalent(evidence, standing, take)
        if standing.same
        else sentences.decided(evidence, standing)
    )
    if evidence.random_weights:
        return _undecided(evidence, sentence, caveats)
    return Verdict(
        sentence=sentence,
        take=take.id,
        decided=True,
        equivalent=bool(standing.same),
        metric=evidence.metric,
        more_photos=None,
        caveats=tuple(caveats),
    )


def more_photos(difference: Difference, *, photos: int, comparisons: int, margin: float) -> int:
    """Estimate how many more photos would decide, one way or the other.

    Takes the observed difference for the true one. Its standard error s falls with the square root
    of the number of photos, so for 80 % power N photos are needed, with

        (z_alpha + z_0.8) s sqrt(n / N) = effect

    The effect is either the difference itself (alpha two-sided 5 %, divided by the comparisons),
    or the rest of the margin, to show that the difference does not matter (alpha one-sided 5 %);
    the smaller N counts. For the difference s follows from its p value, so that an undecided one
    always needs more photos; for the margin s follows from the interval. The result is rounded up
    to two digits, and only a guide: the difference is uncertain.
    """
    gap = abs(difference.difference.value)
    error = (difference.difference.high - difference.difference.low) / (2 * _QUANTILE(0.975))
    power = _QUANTILE(_POWER)
    ways = [
        (_QUANTILE(1 - 0.025 / comparisons) + power, -_QUANTILE(difference.p / 2)),
        (_QUANTILE(0.95) + power, (margin - gap) / error if error else inf),
    ]
    needed = min((photos * (z / shown) ** 2 for z, shown in ways if shown > 0), default=0.0)
    more = max(10, ceil(needed) - photos)
    unit = 10.0 ** max(1, int(log10(more)) - 1)
    return round(ceil(more / unit) * unit)


def _undecided(
    evidence: Evidence, sentence: str, caveats: Sequence[str], more: int | None = None
) -> Verdict:
    random = evidence.random_weights
    return Verdict(
        sentence=sentences.of_random_weights(sentence) if random else sentence,
        take=None,
        decided=False,
        equivalent=False,
        metric=evidence.metric,
        more_photos=None if random else more,
        caveats=tuple(caveats),
    )
