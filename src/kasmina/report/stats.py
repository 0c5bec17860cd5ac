"""Intervals, paired tests and their correction; every random draw has a fixed seed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
FEWEST_PAIRS = 3
"""Below, nothing is tested: with two pairs a t-test has a single degree of freedom."""

_FEWEST_BCA = 5  # values; below, the percentiles cover more often (docs/report.md)
_RESAMPLES = 9999
_BAND_RESAMPLES = 2000
_SEED = 0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Ends of a 95 % interval; nan where there are too few values."""

    low: float
    high: float

    def __bool__(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.low) and math.isfinite(self.high)


NONE = Interval(math.nan, math.nan)


def interval(values: Iterable[float]) -> Interval:
    """Bootstrap interval of the mean of the finite values; none of fewer than two.

    Percentiles below five values, bias-corrected and accelerated from there on (Efron, 1987,
    https://doi.org/10.1080/01621459.1987.10478410).
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if len(finite) < 2:
        return NONE
    if np.ptp(finite) == 0:  # BCa divides by the spread
        return Interval(float(finite[0]), float(finite[0]))
    from scipy import stats  # takes half a second, which a report on one run does not need

    found = stats.bootstrap(
        (finite,),
        np.mean,
        confidence_level=LEVEL,
        n_resamples=_RESAMPLES,
        method="BCa" if len(finite) >= _FEWEST_BCA else "percentile",
        batch=max(1, 10**6 // len(finite)),
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def band(curves: Points) -> tuple[Points, Points]:
    """Percentile bootstrap interval of the mean curve, point by point.

    A resample of whole curves is a row of weights, so that all of them are one matrix product.

    Args:
        curves: (N, G), a row a run.

    Returns:
        The ends, (G,) each; the mean itself where there is one curve.
    """
    number = len(curves)
    if number < 2:
        return curves.mean(axis=0), curves.mean(axis=0)
    rng = np.random.default_rng(_SEED)
    weights = rng.multinomial(number, np.full(number, 1 / number), size=_BAND_RESAMPLES) / number
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(weights @ curves, [tail, 1 - tail], axis=0)
    return low, high


def paired(differences: Sequence[float]) -> float:
    """Two-sided p-value of Student's paired t-test, from the differences of the pairs.

    nan where there are fewer than three, or where all are equal, of which it can say nothing.
    """
    values = np.asarray(differences)
    size = np.abs(values).max(initial=0.0)
    if len(values) < FEWEST_PAIRS or np.ptp(values) <= 1e-12 * size:
        return math.nan
    from scipy import stats

    return float(stats.ttest_rel(values, np.zeros(len(values))).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are, by Holm's step-down; nan is no comparison.

    The k-th smallest of m is multiplied by m - k + 1, and is no smaller than the one before
    (Holm, 1979, https://www.jstor.org/stable/4615733).
    """
    tested = sorted((p, at) for at, p in enumerate(values) if not math.isnan(p))
    corrected, most = [math.nan] * len(values), 0.0
    for done, (p, at) in enumerate(tested):
        most = max(most, min(1.0, (len(tested) - done) * p))
        corrected[at] = most
    return corrected
