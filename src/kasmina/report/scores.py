"""The numbers that runs are compared by."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kasmina.report import units
from kasmina.report.records import Run

Of = Callable[[Run], float]
"""A number of a run."""


def bare(name: str) -> str:
    """A metric's name without its split: ``val/accuracy`` is ``accuracy``."""
    return name.rpartition("/")[2]


def best(run: Run) -> float:
    """The best validation value of the monitored metric; nan if there is none."""
    found = run.summary.score.best
    return math.nan if found is None else found.value


def best_row(run: Run) -> int | None:
    """Which validation was the best; ticks may repeat where validations are more frequent."""
    found = run.summary.score.best
    if found is None:
        return None
    at = [n for n, row in enumerate(run.metrics) if row.when.tick == found.tick]
    exact = (n for n in at if run.metrics[n].values.get(run.goal.monitor) == found.value)
    return next(exact, next(iter(at), None))


def final(run: Run) -> float:
    """The last validation value of the monitored metric; nan if there is none."""
    return _look_up(run.summary.score.final, run.goal.monitor)


def tested(run: Run) -> float:
    """The monitored metric on the test split; nan if there was no test."""
    name = bare(run.goal.monitor)
    return _look_up(run.summary.score.test, f"test/{name}")


def parameters(run: Run) -> float:
    """Of the network at its best validation, which is the one that is tested."""
    at = best_row(run)
    return float(run.summary.parameters.total if at is None else run.metrics[at].parameters)


def kept(run: Run) -> float:
    """Seeds that are in the network for good."""
    return float(run.summary.seeds.kept)


def flops(run: Run) -> float:
    """Of all training."""
    return run.summary.spent.flops


def seconds_per_step(run: Run) -> float:
    """Of an optimizer step, growth and validation included; nan where none was done."""
    spent = run.summary.spent
    return spent.wall_s / spent.steps if spent.steps else math.nan


def _look_up(values: Mapping[str, float], name: str) -> float:
    """By full name, else by the name without its split."""
    for known, value in values.items():
        if known == name:
            return value
    return next((v for known, v in values.items() if bare(known) == bare(name)), math.nan)


@dataclass(frozen=True)
class Score:
    """What stands on the accuracy axis of a comparison."""

    label: str
    metric: str
    of: Of


SPEED = "seconds_per_step"
"""The measure of an ablation that asks how fast, and not how well."""


def score_for(runs: Sequence[Run], measure: str = "score") -> Score:
    """Test where every run has it, else best validation; the latter was picked on that split.

    Args:
        measure: what an ablation compares by; ``seconds_per_step`` instead of that.
    """
    if measure == SPEED:
        return Score("seconds a step", SPEED, seconds_per_step)
    metric = runs[0].goal.monitor
    if all(math.isfinite(tested(run)) for run in runs):
        return Score(units.label(f"test/{bare(metric)}"), metric, tested)
    return Score(f"best {units.label(metric)}", metric, best)
