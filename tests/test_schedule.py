"""A written timeline."""

from typing import Any

import pytest
from views import seen, told, view

from kasmina.control import Pace, Schedule
from kasmina.stage import Stage


def test_a_timeline_is_followed_to_the_letter() -> None:
    written = [
        {"at": 2, "site": "a", "do": "germinate", "blueprint": "big"},
        {"at": 2, "site": "a", "do": "train"},
        {"at": 4, "site": "a", "do": "blend", "target": 0.5},
    ]
    schedule = Schedule(timeline=written)
    plans = {tick: schedule.decide(seen(view(), tick=tick)) for tick in range(1, 6)}
    assert {tick: told(plan) for tick, plan in plans.items() if plan} == {
        2: [("a", "germinate", "big"), ("a", "train", None)],
        4: [("a", "blend", None)],
    }
    assert plans[4][0].target == 0.5
    assert plans[4][0].reason == "the timeline says so at tick 4"


def test_the_pace_leads_seeds_where_the_timeline_says_nothing() -> None:
    prune = {"at": 5, "site": "a", "do": "prune"}
    schedule = Schedule(timeline=[prune], pace=Pace(incubate=1, hold=1))
    ripe = [view(site, Stage.HOLDING, age=3, contribution=0.3) for site in "ab"]
    assert told(schedule.decide(seen(*ripe))) == [("a", "prune", None), ("b", "fossilize", None)]


GOOD = {"at": 1, "site": "a", "do": "germinate", "blueprint": "big"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blueprnt": "big"}, "unknown key in a timeline entry 'blueprnt'; did you mean"),
        ({"do": "germinat"}, "unknown event in a timeline entry 'germinat'; did you mean"),
        ({"site": ...}, "lacks site"),
        ({"site": ..., "at": ...}, "lacks at, site"),
        ({"blueprint": ...}, "germinates without a blueprint"),
        ({"at": 0}, "at is a tick, a whole number from 1 on"),
        ({"at": 1.5}, "at is a tick, a whole number from 1 on"),
        ({"at": "2"}, "at is a tick, a whole number from 1 on"),
        ({"do": "blend", "target": 2}, r"a target is an alpha in \[0, 1\]"),
    ],
)
def test_a_wrong_entry_of_a_timeline_is_named(change: dict[str, Any], message: str) -> None:
    entry = {key: value for key, value in {**GOOD, **change}.items() if value is not ...}
    with pytest.raises(ValueError, match=message):
        Schedule(timeline=[entry])
