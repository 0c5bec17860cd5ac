"""The paragraphs that open the report of several runs."""

import math
from collections.abc import Sequence

from kasmina.report import scores, units
from kasmina.report.compared import Compared
from kasmina.report.failures import Failure
from kasmina.report.groups import Configuration, Spread
from kasmina.report.paired import Difference
from kasmina.report.stats import FEWEST_PAIRS

_FEW = 3  # seeds below which a standard deviation says little
_MOST = 4  # differences that are told; the table has them all


def comparing(
    groups: Sequence[Configuration], found: Compared | None, failed: Sequence[Failure]
) -> list[str]:
    """What was compared, which configuration came out first, and how far to believe it."""
    inventory = _inventory(groups, failed)
    if found is None:
        return [f"{inventory} None can be compared."]
    told = [f"{inventory} {_ranking(found)}", _tested(found), _caveat(found)]
    return [text for text in told if text]


def _inventory(groups: Sequence[Configuration], failed: Sequence[Failure]) -> str:
    finished = sum(len(group.runs) for group in groups)
    of = f"of {units.plural(len(groups), 'configuration')}" if groups else "without a configuration"
    said = f"{units.plural(finished + len(failed), 'run')} {of}."
    if failed:
        said += f" {finished} finished and count; {len(failed)} did not and stand in a table."
    goals = {group.runs[0].goal for group in groups if group.runs}
    if len(goals) > 1:
        names = ", ".join(sorted(units.label(goal.monitor) for goal in goals))
        said += f" They are judged by different metrics ({names}); only the first is compared."
    return said


def _told(group: Configuration, spread: Spread, metric: str) -> str:
    value = units.spread(metric, spread.mean, spread.deviation)
    cost = units.flops(group.spread(scores.flops).mean)
    size = units.count(group.spread(scores.parameters).mean)
    return f"{group.label} with {value} (n = {spread.n}; {cost}, {size} parameters)"


def _ranking(found: Compared) -> str:
    metric = found.score.metric
    first, *rest = found.ranked
    said = f"By {found.score.label} the first is {_told(*first, metric)}"
    if not rest:
        return f"{said}."
    said += f", the second {_told(*rest[0], metric)}. "
    said += _gap(first[1], rest[0][1], metric, paired=_is_paired(found))
    cheapest = min(found.groups, key=lambda group: group.spread(scores.flops).mean)
    if cheapest not in (first[0], rest[0][0]):
        said += f" The cheapest is {_told(cheapest, cheapest.spread(found.score.of), metric)}."
    return said


def _is_paired(found: Compared) -> bool:
    return any(it.pairs for it in found.differences)


def _gap(first: Spread, second: Spread, metric: str, *, paired: bool) -> str:
    """How far apart the first two are; what that is worth only where no pairs can tell."""
    gap = abs(first.mean - second.mean)
    if math.isnan(gap):
        return "No other has a finite value."
    said = f"They are {units.change(metric, gap)} apart"
    if paired:
        return f"{said}."
    if math.isnan(first.deviation) or math.isnan(second.deviation):
        return f"{said}; with a single seed the spread is unknown, so this order may be chance."
    noise = max(first.deviation, second.deviation)
    if gap <= noise:
        return f"{said}, within one standard deviation over seeds: no difference is shown."
    wide = f", {units.digits(gap / noise, 2)} standard deviations over seeds" if noise else ""
    hint = "; so few seeds make this a hint, no proof" if min(first.n, second.n) < _FEW else ""
    return f"{said}{wide}{hint}."


def _tested(found: Compared) -> str:
    """What the pairs say against the baseline: shown differences, the best first."""
    known = [it for it in found.differences if it.pairs]
    if not known:
        return ""
    said = f"Paired by seed with {found.baseline.label}:"
    tested = sorted((it for it in known if it.tested), key=lambda it: it.p)
    if not tested:
        each = "; ".join(_plainly(it, found) for it in known[:_MOST])
        few = f"that takes {FEWEST_PAIRS} pairs which do not all differ by the same"
        return f"{said} {each}. Nothing is tested: {few}."
    shown = [it for it in _best_first(found) if it.shown]
    each = "; ".join(_sentence(it, found) for it in (shown or tested[:1])[:_MOST])
    if not shown:
        return f"{said} no difference is shown. The clearest is {each}."
    rest = len(tested) - min(len(shown), _MOST)
    return f"{said} {each}." + (f" The table has {units.plural(rest, 'other')}." if rest else "")


def _best_first(found: Compared) -> list[Difference]:
    sign = 1 if found.goal.mode == "min" else -1
    return sorted(found.differences, key=lambda it: sign * it.mean)


def _plainly(it: Difference, found: Compared) -> str:
    return f"{it.label}: {units.signed(found.score.metric, it.mean)} (n = {it.pairs})"


def _sentence(it: Difference, found: Compared) -> str:
    metric = found.score.metric
    ends = units.interval(metric, it.interval.low, it.interval.high, signed=True)
    better = found.goal.better(it.mean, 0.0)
    way = f", {'better' if better else 'worse'}" if it.shown else ""
    p = units.probability(it.corrected)
    test = f"{ends}; n = {it.pairs}; corrected p {p if p.startswith('<') else f'= {p}'}"
    return f"{it.label}: {units.signed(metric, it.mean)}{way} (95 % interval {test})"


def _caveat(found: Compared) -> str:
    said = "Cost counts all training: main passes, incubation, evaluation and seeds pruned later."
    if found.measure == scores.SPEED:
        return f"{said} Seconds count growth and validation, and other jobs on the machine."
    if found.score.of is scores.best:
        return f"{said} The best validation was picked on the validation split, so it flatters."
    return f"{said} The test split was read once, after training."
