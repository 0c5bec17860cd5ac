"""Every run of a comparison as a row of runs.csv, in plain numbers."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kasmina.report import scores
from kasmina.report.groups import Configuration
from kasmina.report.records import Run
from kasmina.report.tables import place

HEAD = (
    *("run", "configuration", "status", "reason", "seed", "controller", "monitor", "mode"),
    *("best", "best_epoch", "final", "test", "host_parameters", "parameters"),
    *("kept", "pruned", "unfinished", "epochs", "steps", "wall_s"),
    *("flops", "incubation_flops", "evaluation_flops", "pruned_seeds_flops"),
)
"""The columns; an empty cell is a value that the record does not have."""


def write_sheet(path: Path, groups: Sequence[Configuration], faults: Mapping[Path, str]) -> None:
    """Write one row a run; runs that could not be read have only their status and reason."""
    base = path.parent
    rows = [_row(run, it.label, base) for it in groups for run in (*it.runs, *it.others)]
    rows += [
        {"run": place(folder, base), "status": "unreadable", "reason": reason}
        for folder, reason in faults.items()
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEAD)
        writer.writeheader()
        writer.writerows(rows)


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
