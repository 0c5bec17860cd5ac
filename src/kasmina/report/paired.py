"""Differences of configurations against a baseline, paired by seed, and how sure they are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from kasmina.report.groups import BASE, Configuration
from kasmina.report.parse import RunError
from kasmina.report.records import Run
from kasmina.report.stats import Interval, holm, interval, paired
from kasmina.suggest import nearest

ALPHA = 0.05
"""Below this corrected p-value a difference counts as shown."""


@dataclass(frozen=True)
class Difference:
    """A configuration minus the baseline, in the unit of the score.

    Args:
        pairs: seeds that both have a finite score for.
        mean: of the differences; nan without a pair.
        interval: bootstrap, 95 %, of the mean.
        p: of the paired t-test; nan where nothing was tested.
        corrected: for the number of comparisons, by Holm.
    """

    label: str
    pairs: int
    mean: float
    interval: Interval
    p: float
    corrected: float = math.nan

    @property
    def tested(self) -> bool:
        """Whether there is a p-value."""
        return not math.isnan(self.p)

    @property
    def shown(self) -> bool:
        """Whether the test rejects that there is no difference, after the correction."""
        return self.corrected < ALPHA


def by_seed(it: Configuration, score: Callable[[Run], float]) -> dict[int, float]:
    """The score of each seed; the mean where a seed was run more than once."""
    found: dict[int, list[float]] = {}
    for run in it.runs:
        seed, value = run.summary.labels.seed, score(run)
        if seed is not None and math.isfinite(value):
            found.setdefault(seed, []).append(value)
    return {seed: fmean(values) for seed, values in found.items()}


def differences(
    groups: Sequence[Configuration], baseline: Configuration, score: Callable[[Run], float]
) -> list[Difference]:
    """Every other configuration against the baseline, corrected for how many were tested."""
    base = by_seed(baseline, score)
    found = [_difference(it, base, score) for it in groups if it is not baseline]
    corrected = holm([it.p for it in found])
    return [replace(it, corrected=p) for it, p in zip(found, corrected, strict=True)]


def _difference(
    it: Configuration, base: dict[int, float], score: Callable[[Run], float]
) -> Difference:
    own = by_seed(it, score)
    apart = [own[seed] - base[seed] for seed in own if seed in base]
    mean = fmean(apart) if apart else math.nan
    return Difference(it.label, len(apart), mean, interval(apart), paired(apart))


def choose_baseline(
    groups: Sequence[Configuration], asked: str | None, planned: str | None
) -> Configuration:
    """What the others are compared with.

    Args:
        groups: one at least.
        asked: a label, one of its parts, or a piece that only one label has.
        planned: the label that an ablation names.

    Returns:
        What was asked for, else what was planned, else the base configuration, else the first.

    Raises:
        RunError: what was asked for names none or several; one line with those there are.
    """
    if asked is not None:
        return _named(groups, asked)
    labels = {it.label: it for it in groups}
    return labels.get(planned or BASE) or labels.get(BASE) or groups[0]


def _named(groups: Sequence[Configuration], asked: str) -> Configuration:
    """The whole label, else one part of it between commas, else any piece."""
    fits: tuple[Callable[[str], bool], ...] = (
        lambda label: label == asked,
        lambda label: asked in label.split(", "),
        lambda label: asked in label,
    )
    for fit in fits:
        found = [it for it in groups if fit(it.label)]
        if len(found) == 1:
            return found[0]
        if found:
            several = "; ".join(it.label for it in found)
            raise RunError(f"baseline {asked!r} fits {len(found)} configurations: {several}")
    labels = [it.label for it in groups]
    near = nearest(asked, labels)
    hint = f" did you mean {near!r}?" if near else ""
    raise RunError(f"unknown baseline {asked!r};{hint} possible: {'; '.join(labels)}")
