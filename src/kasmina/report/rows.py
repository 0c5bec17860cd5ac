"""Turn rows of the csv and jsonl files into records."""

import math

from kasmina.report import records
from kasmina.report.parse import Fields, RunError
from kasmina.stage import Stage
from kasmina.suggest import unknown

COLUMNS = (
    *("tick", "epoch", "step", "wall_s", "parameters"),
    *("train_flops", "incubation_flops", "evaluation_flops"),
)
"""The columns of metrics.csv that are no metrics."""


def _moment(row: Fields) -> records.Moment:
    return records.Moment(row.integer("tick"), row.integer("epoch"), row.integer("step"))


def metrics(row: Fields) -> records.Metrics:
    """A row of metrics.csv."""
    return records.Metrics(
        when=_moment(row),
        wall_s=row.number("wall_s"),
        flops=row.number("train_flops"),
        incubation_flops=row.number("incubation_flops"),
        evaluation_flops=row.number("evaluation_flops"),
        parameters=row.integer("parameters"),
        values=row.numbers(skip=COLUMNS),
    )


def _stage(row: Fields, key: str) -> Stage:
    name = row.text(key)
    if name not in Stage.__members__.values():
        raise RunError(f"{row.place}: {unknown('stage', name, Stage)}")
    return Stage(name)


def _occupant(row: Fields) -> records.Occupant:
    alpha, parameters = row.number("alpha"), row.number("parameters")
    return records.Occupant(
        blueprint=row.text("blueprint"),
        alpha=0.0 if math.isnan(alpha) else alpha,
        parameters=0 if math.isnan(parameters) else int(parameters),
    )


def slot_state(row: Fields) -> records.SlotState:
    """A row of timeline.csv."""
    return records.SlotState(
        when=_moment(row),
        site=row.text("site"),
        stage=_stage(row, "stage"),
        seed=_occupant(row),
        contribution=row.number("contribution"),
        seed_loss=row.number("seed_loss"),
    )


def decision(row: Fields) -> records.Decision:
    """A line of events.jsonl."""
    return records.Decision(
        when=_moment(row),
        site=row.text("site"),
        event=row.text("event"),
        before=_stage(row, "from"),
        after=_stage(row, "to"),
        seed=_occupant(row),
        by=row.text("by"),
        reason=row.text("reason"),
        numbers=row.part("numbers").numbers(),
    )
