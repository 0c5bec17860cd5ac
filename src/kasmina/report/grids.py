"""Tables of a comparison: configurations, differences, runs, and what did not finish."""

import os
from collections.abc import Sequence
from pathlib import Path

from kasmina.report import scores, units
from kasmina.report.compared import Compared
from kasmina.report.failures import Failure
from kasmina.report.groups import Configuration
from kasmina.report.paired import Difference
from kasmina.report.records import Run
from kasmina.report.stats import FEWEST_PAIRS
from kasmina.report.tables import Cell, Link, Table

_INTERVAL, _FRONT = "95 % interval", "front"
_MEASURES = ("n", "best", "final", "test", _INTERVAL, "kept", "parameters", "compute")
_HOW = (
    "Student's t-test on the differences between runs of the same seed: these share split and "
    "initialisation, so pairing takes out what they have in common. It takes the differences for "
    "normal; a rank test would not, but with five pairs or fewer it cannot fall below 0.06. "
)


def configurations(found: Compared) -> Table:
    """A row a configuration: statistics over its finished runs."""
    fronts = zip(found.front_of_flops, found.front_of_parameters, strict=True)
    return Table(
        caption="Configurations",
        head=("configuration", *_MEASURES, _FRONT),
        rows=tuple(
            _configuration(group, found.score, _front(*its))
            for group, its in zip(found.groups, fronts, strict=True)
        ),
        numeric=frozenset(_MEASURES),
        prose=frozenset({"configuration"}),
        note="Mean ± sample standard deviation over the finished runs of a configuration. Best and "
        "final are on the validation split; test and parameters belong to the best validation. The "
        f"interval is the bootstrap one of the mean {found.score.label}; of few seeds it is too "
        "narrow (of 3 it holds the mean in 7 cases of 10, of 5 in 8). Kept are seeds. Nothing "
        "beats a configuration on the Pareto front in both the score and that cost.",
    )


def _configuration(group: Configuration, score: scores.Score, on_front: str) -> tuple[str, ...]:
    metric = score.metric
    measures = (scores.best, scores.final, scores.tested)
    spreads = [group.spread(measure) for measure in measures]
    known = group.interval(score.of)
    return (
        group.label,
        str(len(group.runs)),
        *(units.spread(metric, spread.mean, spread.deviation) for spread in spreads),
        units.interval(metric, known.low, known.high),
        units.digits(group.spread(scores.kept).mean, 2),
        units.count(group.spread(scores.parameters).mean),
        units.flops(group.spread(scores.flops).mean),
        on_front,
    )


def _front(by_flops: bool, by_size: bool) -> str:
    if by_flops and by_size:
        return "both"
    return "compute" if by_flops else "parameters" * by_size


def comparisons(found: Compared) -> Table:
    """A row a configuration but the baseline: its differences from it."""
    head = ("configuration", "pairs", "difference", _INTERVAL, "p", "p corrected", "verdict")
    rows = (_comparison(it, found) for it in found.differences)
    tested = sum(it.tested for it in found.differences)
    corrected = f"Corrected for {units.plural(tested, 'test')} by Holm's method. " if tested else ""
    return Table(
        caption="Differences from the baseline",
        head=head,
        rows=tuple(rows),
        numeric=frozenset(head[1:-1]),
        prose=frozenset({"configuration"}),
        note=f"{units.sentence(found.score.label)} minus that of {found.baseline.label}. {_HOW}"
        f"{corrected}With fewer than {FEWEST_PAIRS} pairs nothing is tested.",
    )


def _comparison(it: Difference, found: Compared) -> tuple[str, ...]:
    metric = found.score.metric
    return (
        it.label,
        str(it.pairs),
        units.signed(metric, it.mean),
        units.interval(metric, it.interval.low, it.interval.high, signed=True),
        units.probability(it.p),
        units.probability(it.corrected),
        verdict(it, found.goal.mode),
    )


def verdict(it: Difference, mode: str) -> str:
    """``better``, ``worse``, or that this is not shown, or not tested."""
    if it.shown:
        return "better" if (it.mean > 0) == (mode == "max") else "worse"
    if it.tested:
        return "not shown"
    few = it.pairs < FEWEST_PAIRS
    return "not tested: too few pairs" if few else "not tested: all differences are equal"


def runs(groups: Sequence[Configuration], base: Path) -> Table:
    """A row a finished run, with a link to its own report where there is one."""
    return Table(
        caption="Runs",
        head=("run", "configuration", "seed", "best", "final", "test", "kept", "pruned", "compute"),
        rows=tuple(_run(run, group.label, base) for group in groups for run in group.runs),
        numeric=frozenset({"seed", "best", "final", "test", "kept", "pruned", "compute"}),
        prose=frozenset({"run", "configuration"}),
    )


def place(folder: Path, base: Path) -> str:
    """The folder as seen from ``base``."""
    return Path(os.path.relpath(folder.resolve(), base.resolve())).as_posix()


def _run(run: Run, label: str, base: Path) -> tuple[Cell, ...]:
    metric, seeds = run.goal.monitor, run.summary.seeds
    values = (scores.best(run), scores.final(run), scores.tested(run))
    return (
        _linked(run.folder, base),
        label,
        _seed(run.summary.labels.seed),
        *(units.metric(metric, value) for value in values),
        str(seeds.kept),
        str(seeds.pruned),
        units.flops(scores.flops(run)),
    )


def _seed(seed: int | None) -> str:
    return units.NOTHING if seed is None else str(seed)


def _linked(folder: Path, base: Path) -> Cell:
    where = place(folder, base)
    page = folder / "report.html"
    return Link(where, f"{where}/report.html") if page.is_file() else where


def left_out(failed: Sequence[Failure], base: Path) -> Table:
    """What does not count, and why."""
    head = ("run", "configuration", "seed", "status", "reason")
    rows = tuple(
        (_linked(it.folder, base), it.label, _seed(it.seed), it.status, it.reason) for it in failed
    )
    wrapped = frozenset({"run", "configuration", "reason"})
    return Table("Runs that do not count", head, rows, frozenset({"seed"}), wrapped)
