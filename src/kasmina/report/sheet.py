"""Every number of a comparison in three sheets: runs, configurations, comparisons."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kasmina.report import grids, scores
from kasmina.report.compared import Compared
from kasmina.report.failures import Failure
from kasmina.report.grids import place
from kasmina.report.groups import Configuration
from kasmina.report.records import Run

HEAD = (
    *("run", "configuration", "status", "reason", "seed", "controller", "monitor", "mode"),
    *("best", "best_epoch", "final", "test", "host_parameters", "parameters"),
    *("kept", "pruned", "unfinished", "epochs", "steps", "wall_s"),
    *("flops", "incubation_flops", "evaluation_flops", "pruned_seeds_flops"),
)
"""The columns of runs.csv; an empty cell is a value that the record does not have."""

_STATISTICS = ("mean", "deviation", "low", "high")
_MEASURES: dict[str, scores.Of] = {
    "best": scores.best,
    "final": scores.final,
    "test": scores.tested,
    "parameters": scores.parameters,
    "flops": scores.flops,
    "wall_s": lambda run: run.summary.spent.wall_s,
    "kept": scores.kept,
    scores.SPEED: scores.seconds_per_step,
}

CONFIGURATIONS = (
    *("configuration", "n", "others", "score"),
    *(f"{measure}_{statistic}" for measure in _MEASURES for statistic in _STATISTICS),
    *("on_flops_front", "on_parameters_front", "is_baseline"),
)
"""The columns of configurations.csv; ``others`` are runs that did not finish, and ``score`` names
the measure that the comparison goes by."""

COMPARISONS = (
    *("configuration", "baseline", "score", "mode", "pairs", "difference", "low", "high"),
    *("p", "p_corrected", "verdict"),
)
"""The columns of comparisons.csv; the difference is the configuration minus the baseline."""


def write_runs(path: Path, groups: Sequence[Configuration], failed: Sequence[Failure]) -> None:
    """Write one row a run; those that do not count have status and reason."""
    base = path.parent
    rows = [_row(run, it.label, base) for it in groups for run in it.runs]
    _write(path, HEAD, [*rows, *(_failure(it, base) for it in failed)])


def write_configurations(path: Path, found: Compared | None) -> None:
    """Write one row a configuration, with the statistics of every measure."""
    _write(path, CONFIGURATIONS, _configurations(found) if found else [])


def write_comparisons(path: Path, found: Compared | None) -> None:
    """Write one row a configuration but the baseline."""
    _write(path, COMPARISONS, _comparisons(found) if found else [])


def _write(path: Path, head: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, head)
        writer.writeheader()
        writer.writerows(rows)


def _failure(it: Failure, base: Path) -> dict[str, Any]:
    known = _row(it.run, it.label, base) if it.run else {"run": place(it.folder, base)}
    told = {"configuration": it.label, "status": it.status, "reason": it.reason, "seed": it.seed}
    return {**known, **told}


def _configurations(found: Compared) -> Iterable[dict[str, Any]]:
    fronts = zip(found.front_of_flops, found.front_of_parameters, strict=True)
    for it, (by_flops, by_size) in zip(found.groups, fronts, strict=True):
        row = {
            "configuration": it.label,
            "n": len(it.runs),
            "others": len(it.others),
            "score": next(name for name, of in _MEASURES.items() if of is found.score.of),
            "on_flops_front": by_flops,
            "on_parameters_front": by_size,
            "is_baseline": it is found.baseline,
        }
        for name, of in _MEASURES.items():
            spread, known = it.spread(of), it.interval(of)
            numbers = (spread.mean, spread.deviation, known.low, known.high)
            row |= {f"{name}_{s}": n for s, n in zip(_STATISTICS, numbers, strict=True)}
        yield row


def _comparisons(found: Compared) -> Iterable[dict[str, Any]]:
    for it in found.differences:
        yield {
            "configuration": it.label,
            "baseline": found.baseline.label,
            "score": found.score.label,
            "mode": found.goal.mode,
            "pairs": it.pairs,
            "difference": it.mean,
            "low": it.interval.low,
            "high": it.interval.high,
            "p": it.p,
            "p_corrected": it.corrected,
            "verdict": grids.verdict(it, found.goal.mode),
        }


def _row(run: Run, configuration: str, base: Path) -> dict[str, Any]:
    return {
        "run": place(run.folder, base),
        "configuration": configuration,
        **_labels(run),
        **_scores(run),
        **_sizes(run),
        **_costs(run),
    }


def _labels(run: Run) -> dict[str, Any]:
    labels, goal = run.summary.labels, run.goal
    names = {name: getattr(labels, name) for name in ("status", "reason", "seed", "controller")}
    return {**names, "monitor": goal.monitor, "mode": goal.mode}


def _scores(run: Run) -> dict[str, Any]:
    best = run.summary.score.best
    return {
        "best": scores.best(run),
        "best_epoch": None if best is None else best.epoch,
        "final": scores.final(run),
        "test": scores.tested(run),
    }


def _sizes(run: Run) -> dict[str, Any]:
    size, seeds = run.summary.parameters, run.summary.seeds
    return {
        **{"host_parameters": size.host, "parameters": size.total},
        **{"kept": seeds.kept, "pruned": seeds.pruned, "unfinished": seeds.unfinished},
    }


def _costs(run: Run) -> dict[str, Any]:
    spent, flops = run.summary.spent, run.ledger.flops
    parts = {f"{part}_flops": flops.get(part) for part in ("incubation", "evaluation")}
    wall = {"epochs": spent.epochs, "steps": spent.steps, "wall_s": spent.wall_s}
    return {**wall, "flops": spent.flops, **parts, "pruned_seeds_flops": flops.get("pruned_seeds")}
