"""Resampling: intervals and comparisons over other photos that the album could have had.

Photos are drawn again with replacement: all models' answers to a photo together, so that models
are compared on the same photos, and photos of one burst together, because shots of one scene
succeed or fail together, and counted separately they would make every interval too narrow (the
cluster bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section
3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_BLOCK = 50_000
"""Photos x draws per block: what fits into a core's cache."""


def draws(clusters: NDArray[np.intp], resamples: int, seed: int) -> Iterator[Floats]:
    """Draw as many clusters as there are, with replacement, `resamples` times.

    Args:
        clusters: The burst of each photo, numbered from 0 without gaps.
        resamples: Number of draws.
        seed: The same seed gives the same draws.

    Yields:
        How often each photo was drawn: photos x draws, one block of draws at a time.
    """
    random = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    at_once = max(1, _BLOCK // len(clusters))
    for start in range(0, resamples, at_once):
        width = min(at_once, resamples - start)
        cells = random.integers(0, count, (count, width)) * width + np.arange(width)
        drawn = np.bincount(cells.ravel(), minlength=count * width).reshape(count, width)
        yield drawn[clusters].astype(np.float64)


def interval(drawn: Floats, size: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the expanded percentile interval of a statistic.

    The plain percentile interval is too narrow for few photos: it uses the normal distribution's
    quantiles instead of Student's t, and a variance over n instead of n - 1. The expanded interval
    takes percentiles that correct both (Hesterberg, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69, 2015).

    Args:
        drawn: The statistic in each resample; NaN, where it is undefined, is skipped.
        size: Number of clusters: of the rarer kind, if the statistic compares two kinds.
        confidence: Share of albums whose interval contains the truth (default: 0.95).
    """
    tail = _expanded((1 - confidence) / 2, size)
    low, high = np.quantile(drawn[~np.isnan(drawn)], [tail, 1 - tail])
    return float(low), float(high)


def p_value(drawn: Floats, size: int) -> float:
    """Return the two-sided p of a difference from its resamples.

    It is the p at which the expanded interval ends at zero, so that interval and p agree. A
    resample without a difference counts for both sides: for models that answer alike p is 1.

    If no resample reaches zero, their number alone would set p, and with many pairs none could
    ever be decided. The interval then is Student's with the resamples' standard deviation
    (Hesterberg, as above), at least 1 / size: about the standard error of a share if one more
    cluster disagreed. Otherwise a difference that never varies would leave no doubt.

    Args:
        drawn: The difference in each resample; NaN is skipped.
        size: As for the interval.
    """
    known = drawn[~np.isnan(drawn)]
    fewer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    quantile = special.ndtri(min(0.5, (fewer + 1) / (len(known) + 1)))
    if not fewer:
        quantile = min(quantile, -abs(known.mean()) / max(known.std(), 1 / size))
    return float(2 * special.stdtr(size - 1, quantile * np.sqrt((size - 1) / size)))


def within(drawn: Floats, size: int, margin: float) -> bool:
    """Tell whether a difference is too small to matter: its 90 % interval is within the margin.

    These are two one-sided tests at 5 % (Schuirmann, "A comparison of the two one-sided tests
    procedure and the power approach", 1987), which rarely pass for a larger difference.

    Args:
        drawn: The difference in each resample.
        size: As for the interval.
        margin: The largest difference that does not matter, in either direction.
    """
    low, high = interval(drawn, size, confidence=0.90)
    return -margin < low and high < margin


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Correct p values for their number, so that one false decision in all stays as rare.

    Holm, "A simple sequentially rejective multiple test procedure", 1979: the smallest times m,
    the next times m - 1, and so on, never below the one before it, never above 1.
    """
    corrected = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = largest
    return tuple(corrected)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, which holds near 0 and 1 too.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Without
    any count it is 0 to 1.
    """
    if of == 0:
        return 0.0, 1.0
    z = special.ndtri(0.975)
    middle = (count + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * np.sqrt(count * (of - count) / of + z * z / 4)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _expanded(tail: float, size: int) -> float:
    wider = np.sqrt(size / (size - 1)) * special.stdtrit(size - 1, tail)
    return float(special.ndtr(wider))
