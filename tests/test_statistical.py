"""A pace that asks a test: when it asks, and what it makes of the answer."""

from typing import Any

import pytest
from views import view

from kasmina.control import Evidence, Statistical
from kasmina.stage import ALIVE, Event, Stage

GATES = {Stage.TRAINING: Event.BLEND, Stage.HOLDING: Event.FOSSILIZE}
LATE = {"age": 9}


def seen(effect: float, low: float, high: float, p: float, **facts: Any) -> Evidence:
    plain = {"method": "a test", "split": "gate", "n": 300, "seed": 1, "look": 1}
    return Evidence(effect=effect, low=low, high=high, p=p, **{**plain, **facts})


GOOD = (0.03, 0.01, 0.05, 0.001)
UNSURE = (0.01, -0.01, 0.03, 0.2)
SMALL = (0.004, 0.002, 0.006, 1e-9)
FUTILE = (-0.02, -0.04, 0.004, 0.97)


@pytest.mark.parametrize("stage", GATES)
@pytest.mark.parametrize(
    ("numbers", "facts", "move"),
    [
        (GOOD, {}, "on"),
        (GOOD, {"seed": 4}, None),  # a later seed has less to spend
        (GOOD, {"look": 3}, "on"),
        (UNSURE, {}, None),
        (UNSURE, {"look": 2}, None),
        (UNSURE, {"look": 3}, Event.PRUNE),
        (SMALL, {}, None),
        (SMALL, {"look": 3}, Event.PRUNE),
        (FUTILE, {}, "gives up"),
        (FUTILE, {"look": 3}, Event.PRUNE),
    ],
)
def test_a_seed_goes_on_when_it_is_proven_and_is_pruned_when_its_looks_are_spent(
    stage: Stage, numbers: Any, facts: dict[str, int], move: Any
) -> None:
    own = {"on": GATES[stage], "gives up": Event.PRUNE if stage is Stage.HOLDING else None}
    decision = Statistical().decide(view(stage=stage, evidence=seen(*numbers, **facts), **LATE))
    assert (decision and decision.event) == own.get(move, move)


def test_a_decision_records_the_whole_test() -> None:
    decision = Statistical().decide(view(stage=Stage.HOLDING, age=4, evidence=seen(*GOOD, look=2)))
    assert decision is not None
    assert decision.reason == (
        "a test on 300 gate samples: effect +0.0300 [+0.0100, +0.0500], p 0.001 is within 0.0083, "
        "look 2 of 3, after 4 ticks holding"
    )
    assert decision.numbers == {
        **{"n": 300, "effect": 0.03, "low": 0.01, "high": 0.05, "p": 0.001, "seed": 1, "look": 2},
        **{"looks": 3, "spend": pytest.approx(0.05 / 2 / 3), "worthwhile": 0.005, "age": 4},
    }


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("stages", [["training"], ["holding"], ["training", "holding"]])
def test_it_asks_from_the_end_of_a_tested_stage_on(stage: Stage, stages: list[str]) -> None:
    pace = Statistical(incubate=3, hold=2, stages=stages)
    first = {Stage.TRAINING: 3, Stage.HOLDING: 2}.get(stage, 99)
    for age in range(6):
        assert pace.asks(stage, age) == (stage in stages and age >= first)


@pytest.mark.parametrize("stage", sorted(ALIVE))
def test_a_stage_that_is_not_tested_has_the_gates_of_a_plain_pace(stage: Stage) -> None:
    other = {Stage.TRAINING: "holding", Stage.HOLDING: "training"}.get(stage, "training")
    pace = Statistical(stages=[other], keep_minimum=0.1)
    decision = pace.decide(view(stage=stage, contribution=0.0, **LATE))
    expected = {
        Stage.GERMINATED: Event.TRAIN,
        Stage.TRAINING: Event.BLEND,
        Stage.HOLDING: Event.PRUNE,
    }
    assert (decision and decision.event) == expected.get(stage)


def test_a_pace_without_evidence_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"needs kasmina\.callbacks\.looks\.GateLooks"):
        Statistical().decide(view(stage=Stage.HOLDING, **LATE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["blending"]}, "unknown stage with a gate 'blending'"),
        ({"stages": []}, "stages names at least one of training, holding"),
        ({"alpha": 0.0}, "alpha lies between 0 and 1, not at 0.0"),
        ({"confidence": 1}, "confidence lies between 0 and 1, not at 1"),
        ({"looks": 0}, "looks is at least 1, not 0"),
        ({"resamples": 0}, "resamples is at least 1, not 0"),
        ({"hold": 0}, "hold takes at least 1 tick, not 0"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Statistical(**options)
