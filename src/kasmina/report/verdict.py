"""The paragraph that opens the report of several runs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from kasmina.report import scores, units
from kasmina.report.groups import Configuration, Spread
from kasmina.report.records import Goal

_FEW = 3  # seeds below which a standard deviation says little


def comparing(groups: Sequence[Configuration], faults: Mapping[Path, str]) -> list[str]:
    """What was compared, which configuration came out first, and how far to believe it."""
    counted = comparable(groups)
    if not counted:
        return [f"{_inventory(groups, faults)} None can be compared."]
    return [f"{_inventory(groups, faults)} {_ranking(counted)}", _caveat(counted)]


def comparable(groups: Sequence[Configuration]) -> list[Configuration]:
    """Those with finished runs that are judged by the same metric as the first."""
    counted = [group for group in groups if group.runs]
    return [group for group in counted if group.runs[0].goal == counted[0].runs[0].goal]


def _inventory(groups: Sequence[Configuration], faults: Mapping[Path, str]) -> str:
    finished = sum(len(group.runs) for group in groups)
    total = finished + sum(len(group.others) for group in groups) + len(faults)
    of = f"of {units.plural(len(groups), 'configuration')}" if groups else "without a configuration"
    said = f"{units.plural(total, 'run')} {of}."
    if finished < total:
        said += f" {finished} finished and count; {total - finished} did not and stand in a table."
    goals = {group.runs[0].goal for group in groups if group.runs}
    if len(goals) > 1:
        names = ", ".join(sorted(units.label(goal.monitor) for goal in goals))
        said += f" They are judged by different metrics ({names}); only the first is compared."
    return said


def _ranked(groups: Sequence[Configuration]) -> list[tuple[Configuration, Spread]]:
    """The best mean first; configurations without a value last."""
    score = scores.score_for([run for group in groups for run in group.runs])
    goal = groups[0].runs[0].goal
    pairs = [(group, group.spread(score.of)) for group in groups]
    return sorted(pairs, key=lambda pair: _rank(goal, pair[1].mean))


def _rank(goal: Goal, mean: float) -> float:
    if math.isnan(mean):
        return math.inf
    return mean if goal.mode == "min" else -mean


def _told(group: Configuration, spread: Spread, metric: str) -> str:
    value = units.spread(metric, spread.mean, spread.deviation)
    cost = units.flops(group.spread(scores.flops).mean)
    size = units.count(group.spread(scores.parameters).mean)
    return f"{group.label} with {value} (n = {spread.n}; {cost}, {size} parameters)"


def _ranking(groups: Sequence[Configuration]) -> str:
    score = scores.score_for([run for group in groups for run in group.runs])
    first, *rest = _ranked(groups)
    said = f"By {score.label} the first is {_told(*first, score.metric)}"
    if not rest:
        return f"{said}."
    said += f", the second {_told(*rest[0], score.metric)}. "
    said += _gap(first[1], rest[0][1], score.metric)
    cheapest = min(groups, key=lambda group: group.spread(scores.flops).mean)
    spread = cheapest.spread(score.of)
    if cheapest not in (first[0], rest[0][0]):
        said += f" The cheapest is {_told(cheapest, spread, score.metric)}."
    return said


def _gap(first: Spread, second: Spread, metric: str) -> str:
    gap = abs(first.mean - second.mean)
    if math.isnan(gap):
        return "No other has a finite value."
    said = f"They are {units.change(metric, gap)} apart"
    if math.isnan(first.deviation) or math.isnan(second.deviation):
        return f"{said}; with a single seed the spread is unknown, so this order may be chance."
    noise = max(first.deviation, second.deviation)
    if gap <= noise:
        return f"{said}, within one standard deviation over seeds: no difference is shown."
    wide = f", {units.digits(gap / noise, 2)} standard deviations over seeds" if noise else ""
    hint = "; so few seeds make this a hint, no proof" if min(first.n, second.n) < _FEW else ""
    return f"{said}{wide}{hint}."


def _caveat(groups: Sequence[Configuration]) -> str:
    score = scores.score_for([run for group in groups for run in group.runs])
    said = "Cost counts all training: main passes, incubation, evaluation and seeds pruned later."
    if score.of is scores.best:
        return f"{said} The best validation was picked on the validation split, so it flatters."
    return f"{said} The test split was read once, after training."
