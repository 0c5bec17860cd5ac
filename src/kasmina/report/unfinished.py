"""What can be said of a run that has no summary.json or ledger.json yet."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kasmina.report import records
from kasmina.report.lives import KEPT, OPEN, PRUNED, lives_of
from kasmina.report.records import Decision, Goal, Metrics, SlotState

_LOWER_IS_BETTER = ("loss", "error", "bpc", "bpb", "nats", "perplexity", "mse", "mae", "rmse")


def estimate_goal(metrics: Sequence[Metrics]) -> Goal:
    """The first validation metric beside the loss, else the loss; the mode by its name."""
    names = list(metrics[0].values) if metrics else []
    validated = [name for name in names if name.startswith("val/")]
    others = [name for name in validated if name != "val/loss"]
    monitor = next(iter([*others, *validated, *names]), "val/loss")
    lower = monitor.rpartition("/")[2].lower().endswith(_LOWER_IS_BETTER)
    return Goal(monitor, "min" if lower else "max")


def estimate_best(metrics: Sequence[Metrics], goal: Goal) -> records.Best | None:
    """The best finite value of the goal's metric so far; the first of equals."""
    best: records.Best | None = None
    for row in metrics:
        value = row.values.get(goal.monitor, math.nan)
        if math.isfinite(value) and (best is None or goal.better(value, best.value)):
            best = records.Best(value, row.when.epoch, row.when.tick)
    return best


def estimate_parameters(
    metrics: Sequence[Metrics], timeline: Sequence[SlotState]
) -> records.Parameters:
    """Counts at the last validation; seeds alive then are taken for grown."""
    if not metrics:
        return records.Parameters(0, 0, 0)
    last = metrics[-1]
    seeds = sum(s.seed.parameters for s in timeline if s.when.tick == last.when.tick)
    return records.Parameters(last.parameters - seeds, seeds, last.parameters)


def estimate_spent(metrics: Sequence[Metrics]) -> records.Spent:
    """Up to the last validation."""
    if not metrics:
        return records.Spent(0, 0, 0.0, 0.0)
    last = metrics[-1]
    return records.Spent(last.when.epoch + 1, last.when.step, last.wall_s, last.flops)


def estimate_seeds(events: Sequence[Decision]) -> records.SeedCounts:
    """Fates so far."""
    fates = [life.fate for life in lives_of(events)]
    return records.SeedCounts(*(fates.count(fate) for fate in (KEPT, PRUNED, OPEN)))


def estimate_ledger(metrics: Sequence[Metrics]) -> records.Ledger:
    """What the metrics know: main passes (host and seeds together), incubation, evaluation."""
    if not metrics:
        return records.Ledger({}, {}, ())
    last = metrics[-1]
    parts = {"incubation": last.incubation_flops, "evaluation": last.evaluation_flops}
    flops = {"main": last.flops - sum(parts.values()), **parts, "total": last.flops}
    return records.Ledger(flops, {"fit": last.wall_s}, ())


def estimate_summary(
    labels: Mapping[str, Any],
    *,
    metrics: Sequence[Metrics],
    timeline: Sequence[SlotState],
    events: Sequence[Decision],
) -> records.Summary:
    """A summary with status ``unfinished``; ``labels`` are the name, seed and controller."""
    goal = estimate_goal(metrics)
    return records.Summary(
        labels=records.Labels(**labels, status="unfinished"),
        goal=goal,
        score=records.Score(
            best=estimate_best(metrics, goal),
            final=metrics[-1].values if metrics else {},
            test={},
        ),
        parameters=estimate_parameters(metrics, timeline),
        seeds=estimate_seeds(events),
        spent=estimate_spent(metrics),
        checkpoints={},
    )
