"""What paired evaluations say of a seed, and how much error each look at one may spend.

Pure functions of counts, so that a controller needs no memory. Every sample is answered by two
networks that differ in one seed, so only the samples on which they disagree carry evidence.
"""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Paired:
    """The outcome of a test on paired samples.

    Args:
        method: of the test.
        n: paired samples.
        effect: mean of the monitored metric with the seed minus without it, positive is better.
        low, high: interval of the effect.
        p: one-sided: how often a seed that does nothing would show an effect at least this good.
    """

    method: str
    n: int
    effect: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Evidence(Paired):
    """One look at one seed.

    Args:
        split: on which it was made, ``gate`` or ``val``.
        seed: which of the seeds that this run has tested, from 1 on, in order of their first look.
        look: which look of this gate at this seed, from 1 on.
    """

    split: str
    seed: int
    look: int

    def numbers(self) -> dict[str, float]:
        """The numbers alone."""
        return {name: value for name, value in asdict(self).items() if not isinstance(value, str)}


def paired_counts(gained: int, lost: int, n: int, *, confidence: float) -> Paired:
    """Of two classifiers on the same samples: is the one with the seed right more often?

    Args:
        gained: samples that only the network with the seed gets right.
        lost: samples that only the network without it gets right.
        n: all samples.
        confidence: two-sided, of the interval.
    """
    low, high = interval(gained, lost, n, confidence=confidence)
    effect, p = (gained - lost) / n, mid_p(gained, lost)
    return Paired("mid-p McNemar", n, effect, low, high, p)


def mid_p(gained: int, lost: int) -> float:
    """P(X > gained) + P(X = gained) / 2 for X ~ Binomial(gained + lost, 1/2), exact.

    The one-sided mid-p McNemar test: Fagerland, Lydersen & Laake 2013, "The McNemar test for
    binary matched-pairs data", BMC Medical Research Methodology 13:91.
    """
    m = gained + lost
    ways = math.comb(m, gained)
    halves = ways  # twice the number of outcomes: those at the value count half
    for k in range(gained, m):
        ways = ways * (m - k) // (k + 1)
        halves += 2 * ways
    value: float = halves / 2 ** (m + 1)
    return value


def interval(gained: int, lost: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Of the difference of two paired proportions.

    Wald's with half a sample added to each of the four cells: Agresti & Min 2005, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24:729-740.
    """
    total, b, c = n + 2, gained + 0.5, lost + 0.5
    centre = (b - c) / total
    spread = math.sqrt(b + c - (b - c) ** 2 / total) / total
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    return max(-1.0, centre - reach), min(1.0, centre + reach)


def spend(alpha: float, *, seed: int, looks: int) -> float:
    """The error that each of at most ``looks`` looks at the run's ``seed``-th seed may make.

    alpha / (seed (seed + 1)) is the seed's, and all its looks have equal shares. The shares of all
    seeds add up to alpha, however many there will be, so that by the union bound the chance to
    accept any useless seed in a whole run is at most alpha, whatever the looks have in common:
    alpha-spending (Foster & Stine 2008, "Alpha-investing", JRSS B 70:429-444; Tian & Ramdas 2021,
    "Online control of the familywise error rate", SMMR 30:976-993).

    Args:
        seed: from 1 on.
    """
    return alpha / (seed * (seed + 1) * looks)
