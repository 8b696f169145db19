"""Which model to take, whether that is decided, and how many more photos would decide it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf, log10
from statistics import NormalDist

from ops.commands.bench.statistics import sentences
from ops.commands.bench.statistics.standing import (
    Evidence,
    beats_chance,
    choose,
    comparison_of,
    standing_of,
)
from ops.commands.bench.statistics.wording import name_of
from ops.commands.bench.summary import Difference, Verdict

_POWER = 0.8
_QUANTILE = NormalDist().inv_cdf


def decide(evidence: Evidence) -> Verdict:
    """Return the verdict of a run, without steps and caveats.

    A model is taken if it is better than every other, by however little, or if it is the fastest
    of those whose differences do not matter. If neither is known, no model is taken, and the
    number of photos that would decide is estimated. A model that is not known to be better than
    chance is not taken, nor any with random weights.
    """
    verdict = _decide(evidence)
    if not evidence.random_weights or not evidence.models:
        return verdict
    return replace(
        verdict,
        headline="No verdict: the weights are random",
        figures=(sentences.of_random_weights(verdict.headline), *verdict.figures),
        take=None,
        more_photos=None,
    )


def _decide(evidence: Evidence) -> Verdict:
    if not evidence.asked:
        return _undecided(evidence, "No model was asked yet", ())
    if not evidence.models:
        return _undecided(evidence, "No model answered enough", sentences.none_answered(evidence))
    if len(evidence.models) == 1:
        (only,) = evidence.models
        what = "was asked" if len(evidence.asked) == 1 else "answered enough"
        return _undecided(evidence, f"Only {name_of(only)} {what}", sentences.only_one(evidence))
    if evidence.metric is None:
        headline = "Not decided: judge more photos"
        return _undecided(evidence, headline, sentences.not_judged(evidence))
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
        figures = sentences.undecided(evidence, standing, more)
        return _undecided(evidence, "Not decided", figures, more)
    take = choose(evidence, standing)
    if not beats_chance(evidence, take):
        known = any(beats_chance(evidence, model) for model in evidence.models)
        headline = "Not decided" if known else "None is known to beat chance"
        return _undecided(evidence, headline, sentences.no_better_than_chance(evidence, take))
    return Verdict(
        headline=f"Take {name_of(take)}",
        figures=sentences.equivalent(evidence, standing, take)
        if standing.same
        else sentences.decided(evidence, standing),
        take=take.id,
        metric=evidence.metric,
        more_photos=None,
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
    evidence: Evidence, headline: str, figures: tuple[str, ...], more: int | None = None
) -> Verdict:
    return Verdict(
        headline=headline, figures=figures, take=None, metric=evidence.metric, more_photos=more
    )
