"""All that a comparison of configurations comes to, worked out once for page, sheets, pictures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kasmina.report import scores
from kasmina.report.effects import Effect, effects
from kasmina.report.groups import Configuration, Spread
from kasmina.report.paired import Difference, choose_baseline, differences
from kasmina.report.pareto import front
from kasmina.report.records import Goal, Run
from kasmina.report.scores import Score

MOST_DRAWN = 12
"""Configurations that get a colour; of more, curves and legends cannot be told apart."""


@dataclass(frozen=True)
class Compared:
    """Configurations that are judged by the same metric.

    Args:
        groups: at least one, each with finished runs.
        baseline: the one that the others are compared with.
        axes: levels of each axis of an ablation, in their order.
        measure: ``score``, or ``seconds_per_step``.
    """

    groups: tuple[Configuration, ...]
    baseline: Configuration
    axes: Mapping[str, Sequence[str]]
    measure: str = "score"

    @cached_property
    def runs(self) -> list[Run]:
        """The finished runs of all of them."""
        return [run for it in self.groups for run in it.runs]

    @cached_property
    def score(self) -> Score:
        """What they are judged by."""
        return scores.score_for(self.runs, self.measure)

    @property
    def goal(self) -> Goal:
        """Which way it is better."""
        speed = Goal(scores.SPEED, "min")
        return speed if self.measure == scores.SPEED else self.runs[0].goal

    @cached_property
    def differences(self) -> list[Difference]:
        """Of the others against the baseline."""
        return differences(self.groups, self.baseline, self.score.of)

    @cached_property
    def effects(self) -> list[Effect]:
        """Of the axes; empty where they would repeat the table."""
        return effects(self.groups, self.score.of, self.axes)

    @cached_property
    def ranked(self) -> list[tuple[Configuration, Spread]]:
        """The best mean first; configurations without a value last."""
        pairs = [(it, it.spread(self.score.of)) for it in self.groups]
        return sorted(pairs, key=lambda pair: _rank(self.goal, pair[1].mean))

    @cached_property
    def drawn(self) -> list[Configuration]:
        """Those that get a colour: all, or the best and the baseline, as they were found."""
        best = [it.label for it, _ in self.ranked[:MOST_DRAWN]]
        if self.baseline.label not in best and len(best) == MOST_DRAWN:
            best[-1] = self.baseline.label
        kept = set(best)
        return [it for it in self.groups if it.label in kept]

    @cached_property
    def front_of_flops(self) -> list[bool]:
        """Which configuration no other beats in score and training FLOPs."""
        return self._front(scores.flops)

    @cached_property
    def front_of_parameters(self) -> list[bool]:
        """Which configuration no other beats in score and size."""
        return self._front(scores.parameters)

    def _front(self, cost: scores.Of) -> list[bool]:
        costs = [it.spread(cost).mean for it in self.groups]
        means = [it.spread(self.score.of).mean for it in self.groups]
        return front(costs, means, self.goal.mode)


def compare(
    groups: Sequence[Configuration],
    *,
    baseline: str | None = None,
    planned: str | None = None,
    axes: Mapping[str, Sequence[str]] | None = None,
    measure: str = "score",
) -> Compared | None:
    """Compare what can be compared; None where nothing finished.

    Args:
        groups: found, finished or not.
        baseline: that was asked for.
        planned: baseline of the ablation.
        axes: of the ablation.
        measure: of the ablation.

    Raises:
        RunError: the baseline that was asked for is not one of them.
    """
    counted = comparable(groups)
    if not counted:
        return None
    chosen = choose_baseline(counted, baseline, planned)
    return Compared(tuple(counted), chosen, axes or {}, measure)


def comparable(groups: Sequence[Configuration]) -> list[Configuration]:
    """Those with finished runs that are judged by the same metric as the first."""
    counted = [group for group in groups if group.runs]
    return [group for group in counted if group.runs[0].goal == counted[0].runs[0].goal]


def _rank(goal: Goal, mean: float) -> float:
    if math.isnan(mean):
        return math.inf
    return mean if goal.mode == "min" else -mean
