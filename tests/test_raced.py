"""What the controller wants raced, and what it makes of a race."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from views import SIZES, seen, told, view

from kasmina.callbacks.lifecycle import check_plan
from kasmina.control import Candidate, Entry, Pace, Periodic, Raced, Racer, Rules, Score
from kasmina.stage import ALIVE, Event, Stage

LOSER = Entry(
    tick=5, site="a", blueprint="small", parameters=10, steps=3, drop=0.1, error=0.1, rent=0.2
)
BEST = replace(LOSER, site="b", blueprint="big", parameters=90, steps=9, drop=0.9, gain=0.5)
WINNER = replace(BEST, lower=0.1, won=True)


def controller(**options: Any) -> Raced:
    rules = Rules(rest=3)
    return Raced(**{"timing": Periodic(every=1, start=2), "pace": Pace(), "race": rules, **options})


def test_every_dormant_slot_and_fitting_blueprint_is_a_candidate() -> None:
    slots = [
        view("a"),
        view("b", Stage.FOSSILIZED),
        view("c", sizes={"se": 4}),
        view("d", sizes={}),
    ]
    wanted = controller().wanted(seen(*slots))
    assert wanted is not None
    assert wanted.rules == Rules(rest=3)
    assert wanted.candidates == (*(Candidate("a", name) for name in SIZES), Candidate("c", "se"))
    assert isinstance(controller(), Racer)


@pytest.mark.parametrize("stage", Stage)
def test_nothing_races_where_there_is_no_room(stage: Stage) -> None:
    wanted = controller().wanted(seen(view("a", stage), view("b")))
    assert (wanted is None) == (stage in ALIVE)


@pytest.mark.parametrize("tick", range(1, 10))
def test_nothing_races_before_its_time_nor_in_the_tail(tick: int) -> None:
    wanted = controller(pace=Pace(tail=3)).wanted(seen(view(), tick=tick, ticks=9))
    assert (wanted is not None) == (2 <= tick <= 6)


@pytest.mark.parametrize(("tries", "births"), list(product([1, 3], range(5))))
def test_a_slot_that_has_lost_its_tries_races_no_more(tries: int, births: int) -> None:
    racer = controller(race=Rules(tries=tries))
    wanted = racer.wanted(seen(view("a", births=births), view("b")))
    assert wanted is not None
    assert {c.site for c in wanted.candidates} == ({"a", "b"} if births < tries else {"b"})
    assert (racer.wanted(seen(view("a", births=births))) is None) == (births >= tries)


@pytest.mark.parametrize(("tick", "won"), list(product(range(6, 12), [True, False])))
def test_after_a_race_that_nobody_won_there_is_rest(tick: int, won: bool) -> None:
    raced = (LOSER, WINNER if won else BEST)
    wanted = controller().wanted(seen(view(), tick=tick, raced=raced, lost=int(not won)))
    assert (wanted is None) == (not won and tick <= 5 + 3)


@pytest.mark.parametrize(("lost", "tick"), list(product(range(1, 4), range(6, 22))))
def test_each_lost_race_in_a_row_doubles_the_rest(lost: int, tick: int) -> None:
    wanted = controller().wanted(seen(view(), tick=tick, raced=(LOSER, BEST), lost=lost))
    assert (wanted is None) == (tick <= 5 + 3 * [1, 2, 4][lost - 1])


@pytest.mark.parametrize(("tick", "won"), list(product(range(6, 12), [True, False])))
def test_while_a_lost_race_rests_the_timing_is_not_probed_for(tick: int, won: bool) -> None:
    raced = (LOSER, WINNER if won else BEST)
    observed = seen(view(), tick=tick, raced=raced, lost=int(not won))
    asks = controller(timing=Score(every=1)).asks(observed)
    assert (asks is None) == (not won and tick <= 5 + 3)


@pytest.mark.parametrize(("kept", "pruned"), list(product(range(4), range(4))))
def test_a_blueprint_is_trusted_by_what_became_of_its_seeds(kept: int, pruned: int) -> None:
    name, *others = SIZES
    observed = replace(seen(view()), fates={name: (kept, pruned)})
    wanted = controller().wanted(observed)
    assert wanted is not None
    trusts = {candidate.blueprint: candidate.trust for candidate in wanted.candidates}
    assert trusts == {name: (kept + 1) / (kept + pruned + 1), **dict.fromkeys(others, 1.0)}


def test_the_winner_germinates_and_the_decision_names_its_numbers() -> None:
    observed = seen(view("a"), view("b"), raced=(LOSER, WINNER))
    plan = controller().decide(observed)
    check_plan(plan, observed)
    assert told(plan) == [("b", "germinate", "big"), ("b", "train", None)]
    assert plan[0].numbers == {
        "parameters": 90.0,
        "utility": 0.3,
        "drop": 0.9,
        "gain": 0.5,
        "error": 0.1,
        "rent": 0.2,
        "lower": 0.1,
        "trust": 1.0,
        "race_steps": 9.0,
    }
    assert "big at b won against 1 others: utility 0.3000 nats a sample" in plan[0].reason


@pytest.mark.parametrize("raced", [(), (LOSER, BEST), (LOSER, replace(WINNER, tick=4))], ids=len)
def test_without_a_winner_of_this_very_tick_nothing_is_grown(raced: tuple[Entry, ...]) -> None:
    assert controller().decide(seen(view("a"), view("b"), raced=raced)) == []


def test_live_seeds_go_on_at_their_pace() -> None:
    plan = controller().decide(seen(view("a", Stage.GERMINATED), raced=(LOSER, WINNER)))
    assert [(d.site, d.event) for d in plan] == [("a", Event.TRAIN)]
