"""When a network grows."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from views import seen, view

from kasmina.control import Pace, Periodic, Plateau, Random, Replay


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


def test_a_size_that_no_blueprint_has_takes_the_nearest(tmp_path: Path) -> None:
    event = {"tick": 2, "event": "germinate", "parameters": 60}
    (tmp_path / "events.jsonl").write_text(json.dumps(event))
    lottery = Random(timing=Replay(run=str(tmp_path)), pace=Pace())
    assert lottery.decide(seen(view(), tick=2))[0].blueprint == "middle"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Periodic(every=0), "a period is at least 1 tick, not 0"),
        (lambda: Plateau(patience=0), "patience is at least 1 tick, not 0"),
        (lambda: Replay(run="/nowhere"), "no events to replay: /nowhere/events.jsonl does not"),
    ],
)
def test_a_wrong_option_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
