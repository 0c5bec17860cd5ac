"""How fast a seed goes through its life, and what it must show."""

import math
from itertools import product
from typing import Any

import pytest
from views import view

from kasmina.control import Pace
from kasmina.stage import ALIVE, Event, Stage


def next_move(pace: Pace, stage: Stage, **facts: Any) -> Event | None:
    decision = pace.decide(view(stage=stage, **facts))
    return None if decision is None else decision.event


@pytest.mark.parametrize(("stage", "age"), list(product(Stage, range(6))))
def test_a_seed_moves_on_when_its_time_in_a_stage_is_over(stage: Stage, age: int) -> None:
    expected = {
        Stage.GERMINATED: Event.TRAIN,
        Stage.TRAINING: Event.BLEND if age >= 3 else None,
        Stage.HOLDING: Event.FOSSILIZE if age >= 2 else None,
    }
    pace = Pace(incubate=3, hold=2)
    assert next_move(pace, stage, age=age, contribution=0.3) == expected.get(stage)


@pytest.mark.parametrize("contribution", [-0.3, 0.0, 0.1, 0.3, None])
@pytest.mark.parametrize("minimum", [None, 0.0, 0.1])
def test_a_seed_passes_a_gate_when_it_reaches_the_minimum(
    contribution: float | None, minimum: float | None
) -> None:
    pace = Pace(incubate=1, hold=1, blend_minimum=minimum, keep_minimum=minimum)
    enough = minimum is None or (contribution is not None and contribution >= minimum)
    for stage, onwards in ((Stage.TRAINING, Event.BLEND), (Stage.HOLDING, Event.FOSSILIZE)):
        came = next_move(pace, stage, age=1, contribution=contribution)
        assert came == (onwards if enough else Event.PRUNE)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("measure", ["contribution", "seed_loss"])
def test_a_seed_with_a_measure_that_is_not_finite_is_pruned_at_once(
    measure: str, value: float, stage: Stage
) -> None:
    expected = Event.PRUNE if stage in ALIVE else None
    assert next_move(Pace(keep_minimum=None), stage, **{measure: value}) == expected


def test_a_decision_says_why_and_on_which_numbers() -> None:
    decision = Pace(hold=2).decide(view(stage=Stage.HOLDING, age=2, contribution=0.3))
    assert decision is not None
    assert decision.reason == "contribution +0.3000 reaches +0.0000 after 2 ticks holding"
    assert decision.numbers == {"contribution": 0.3, "minimum": 0.0, "age": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"incubate": 0}, "incubate takes at least 1 tick, not 0"),
        ({"hold": 0}, "hold takes at least 1 tick, not 0"),
        ({"tail": -1}, "tail is at least 0 ticks, not -1"),
    ],
)
def test_a_wrong_number_is_named(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pace(**options)
