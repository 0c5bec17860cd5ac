"""When a network grows."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from views import seen, view

from kasmina.control import Biggest, Heuristic, Pace, Periodic, Plateau, Random, Replay, Score
from kasmina.control.base import Grower
from kasmina.control.promise import Ask, Promised
from kasmina.control.timing import Probing
from kasmina.stage import ALIVE, Stage


@pytest.mark.parametrize(("every", "start", "stop"), list(product([1, 3], [1, 4], [None, 7])))
def test_periodic_is_due_at_its_ticks_alone(every: int, start: int, stop: int | None) -> None:
    timing = Periodic(every=every, start=start, stop=stop)
    due = [tick for tick in range(1, 15) if timing.due(seen(tick=tick))]
    assert due == list(range(start, (stop or 14) + 1, every))


@pytest.mark.parametrize(
    ("history", "due"),
    [
        ((1.0, 1.0), False),  # too short to tell
        ((1.0, 1.0, 1.0), True),
        ((1.0, 1.0, 1.2), False),
        ((1.0, 1.05, 1.1), True),  # a rise up to min_delta is none
        ((2.0, 1.0, 1.5), True),  # better than lately, and not than the best
        ((-3.0, -2.0, -1.0), False),
        ((math.nan, 1.0, 1.0), False),  # nan is no best
        ((1.0, math.nan, 1.0), True),
        ((1.0, math.nan, math.nan), True),
    ],
)
def test_a_plateau_is_no_gain_over_the_best_in_patience_ticks(
    history: tuple[float, ...], due: bool
) -> None:
    assert bool(Plateau(patience=2, min_delta=0.1).due(seen(history=history))) == due


def test_a_replay_germinates_at_the_ticks_and_with_the_sizes_of_the_other_run(
    tmp_path: Path,
) -> None:
    lines = [
        {"tick": 3, "event": "germinate", "parameters": 85},
        {"tick": 4, "event": "blend", "parameters": 85},
        {"tick": 8, "event": "germinate", "parameters": 12},
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    lottery = Random(timing=Replay(run=str(tmp_path)), pace=Pace(), seed=3)
    slots = [view("a"), view("b")]
    born = {
        tick: plan[0].blueprint
        for tick in range(1, 12)
        if (plan := lottery.decide(seen(*slots, tick=tick)))
    }
    assert born == {3: "big", 8: "small"}


@pytest.mark.parametrize("max_live", [1, 2, 5])
def test_several_germinations_of_one_tick_are_replayed_in_as_many_slots(
    tmp_path: Path, max_live: int
) -> None:
    lines = [{"tick": 3, "event": "germinate", "parameters": size} for size in (85, 12, 40)]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    lottery = Random(timing=Replay(run=str(tmp_path)), pace=Pace(), max_live=max_live)
    plan = lottery.decide(seen(view("a"), view("b"), tick=3))
    births = [move for move in plan if move.blueprint is not None]
    assert [move.blueprint for move in births] == ["big", "small"][:max_live]
    assert len({move.site for move in births}) == len(births)


def test_a_size_that_no_blueprint_has_takes_the_nearest(tmp_path: Path) -> None:
    event = {"tick": 2, "event": "germinate", "parameters": 60}
    (tmp_path / "events.jsonl").write_text(json.dumps(event))
    lottery = Random(timing=Replay(run=str(tmp_path)), pace=Pace())
    assert lottery.decide(seen(view(), tick=2))[0].blueprint == "middle"


PROMISED = Promised(
    tick=5,
    site="a",
    blueprint="big",
    seed=0.5,
    seed_error=0.25,
    own=0.125,
    own_error=0.0,
    ask=Ask(batches=8, ratio=2.0, least=0.25),
)
"""Just enough: 0.25 nats for sure, twice 0.125."""


@pytest.mark.parametrize(
    ("facts", "ratio", "due"),
    [
        ({}, 2.0, True),
        ({"own": 0.25}, 1.0, False),
        ({"own_error": 0.125}, 1.0, False),  # the network may promise more
        ({"own": -1.0, "own_error": 0.125}, 2.0, True),  # below nothing is nothing
        ({"own": 0.0}, math.inf, True),
        ({"seed": 0.25}, 0.0, False),  # it may be nothing
        ({"seed": 0.25, "own": 0.0}, 0.0, False),
        ({"seed": 0.375, "own": 0.0}, math.inf, False),  # too little in nats
        ({"seed": math.nan}, 0.0, False),
        ({"seed_error": math.nan}, 0.0, False),
        ({"own": math.nan}, 0.0, False),
        ({"own_error": math.nan}, 0.0, False),
        ({"tick": 4}, 2.0, False),  # what an earlier probe has found is old
    ],
)
def test_a_score_is_due_where_the_seed_surely_promises_enough(
    facts: dict[str, Any], ratio: float, due: bool
) -> None:
    found = replace(PROMISED, **facts)
    assert found.ratio == ratio
    why = Score(ratio=2.0, least=0.25).due(seen(probed=found))
    assert (why is not None) == due
    assert ("only" in str(found)) == (not found.enough)
    if why is not None:
        assert why.reason == str(found)
        assert "big at a promises 0.25 nats a step" in why.reason


def test_a_score_waits_where_nothing_was_probed() -> None:
    assert Score().due(seen()) is None


@pytest.mark.parametrize(("every", "start", "stop"), list(product([1, 3], [1, 4], [None, 7])))
def test_a_score_asks_at_the_ticks_of_its_period_alone(
    every: int, start: int, stop: int | None
) -> None:
    timing = Score(every=every, start=start, stop=stop, ratio=4.0, least=0.5, batches=6)
    asked = {tick: ask for tick in range(1, 15) if (ask := timing.asks(seen(tick=tick)))}
    assert list(asked) == list(range(start, (stop or 14) + 1, every))
    assert set(asked.values()) == {Ask(batches=6, ratio=4.0, least=0.5)}


@pytest.mark.parametrize("kind", [Heuristic, Biggest, Random])
@pytest.mark.parametrize("stage", Stage)
def test_a_controller_asks_only_where_a_seed_could_germinate(
    kind: type[Grower], stage: Stage
) -> None:
    grower = kind(timing=Score(every=1, start=1), pace=Pace(tail=3))
    assert (grower.asks(seen(view("a", stage))) is None) == (stage is not Stage.DORMANT)
    room = grower.asks(seen(view("a"), view("b", stage)))
    assert (room is None) == (stage in ALIVE)
    assert grower.asks(seen(view("a", sizes={}))) is None
    asked = [grower.asks(seen(view("a"), tick=tick, ticks=9)) is not None for tick in (6, 7)]
    assert asked == [True, False]


@pytest.mark.parametrize("timing", [Periodic(), Plateau()])
def test_a_timing_that_does_not_probe_asks_for_nothing(timing: Any) -> None:
    assert not isinstance(timing, Probing)
    assert Heuristic(timing=timing, pace=Pace()).asks(seen(view("a"))) is None


@pytest.mark.parametrize("kind", [Heuristic, Biggest, Random])
def test_the_germination_says_what_was_promised(kind: type[Grower]) -> None:
    grower = kind(timing=Score(every=1, start=1), pace=Pace())
    assert grower.decide(seen(view("a"))) == []
    born, _ = grower.decide(seen(view("a"), probed=replace(PROMISED, seed=9.0)))
    assert born.reason.startswith("big at a promises 8.75 nats a step, 70 times")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Score(ratio=0.0), "a ratio of promises is above 0, not 0"),
        (lambda: Score(ratio=math.nan), "a ratio of promises is above 0, not nan"),
        (lambda: Score(least=-1.0), "the least promise is at least 0 nats, not -1"),
        (lambda: Score(batches=3), "a promise takes at least 4 batches, not 3"),
        (lambda: Score(every=0), "a period is at least 1 tick, not 0"),
        (lambda: Periodic(every=0), "a period is at least 1 tick, not 0"),
        (lambda: Plateau(patience=0), "patience is at least 1 tick, not 0"),
        (lambda: Replay(run="/nowhere"), "no events to replay: /nowhere/events.jsonl does not"),
    ],
)
def test_a_wrong_option_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
