"""What the controller wants raced, and what it makes of a race."""

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from views import SIZES, seen, told, view

from kasmina.callbacks.lifecycle import check_plan
from kasmina.control import Candidate, Entry, Pace, Periodic, Raced, Racer, Rules, Score
from kasmina.control.entry import Lost
from kasmina.control.observation import Bill
from kasmina.control.race import account, leader, losses
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


@pytest.mark.parametrize(("count", "tick"), list(product(range(1, 4), range(6, 22))))
def test_a_slot_that_lost_rests_the_longer_the_more_it_lost_in_a_row(count: int, tick: int) -> None:
    observed = seen(view("a"), view("b"), tick=tick, lost={"a": Lost(count, tick=5)})
    wanted = controller().wanted(observed)
    assert wanted is not None
    rests = tick <= 5 + 3 * [1, 2, 4][count - 1]
    assert {each.site for each in wanted.candidates} == ({"b"} if rests else {"a", "b"})


@pytest.mark.parametrize("births", [0, 1, 2])
def test_a_slot_that_rests_may_be_spread_to_unless_it_has_lost_its_tries(births: int) -> None:
    lost = {"a": Lost(1, tick=5)}
    observed = seen(view("a", births=births), view("b"), tick=6, lost=lost)
    wanted = controller().wanted(observed)
    assert wanted is not None
    assert {each.site for each in wanted.candidates} == {"b"}
    assert {each.site for each in wanted.resting} == ({"a"} if births < 2 else set())


@pytest.mark.parametrize("tick", range(6, 12))
def test_while_all_slots_rest_there_is_no_race_and_no_probe_for_one(tick: int) -> None:
    observed = seen(view("a"), tick=tick, lost={"a": Lost(1, tick=5)})
    racer = controller(timing=Score(every=1))
    assert (racer.asks(observed) is None) == (tick <= 5 + 3)
    assert (controller().wanted(observed) is None) == (tick <= 5 + 3)


def test_a_lost_race_counts_for_each_slot_in_it_and_a_winner_ends_all_rest() -> None:
    lost = {"b": Lost(2, tick=1), "c": Lost(1, tick=3)}
    expected = {"a": Lost(1, tick=5), "b": Lost(3, tick=5), "c": Lost(1, tick=3)}
    assert losses(lost, (LOSER, BEST)) == expected
    assert losses(lost, (LOSER, WINNER)) == {}


@pytest.mark.parametrize(
    ("bill", "may"),
    [
        (Bill(), True),
        (Bill(races=9.0, last=9.0, limit=math.inf), True),
        (Bill(limit=100.0), True),
        (Bill(races=10.0, last=10.0, limit=100.0), True),
        (Bill(races=15.0, last=5.0, limit=100.0), True),
        (Bill(races=15.0, last=5.5, limit=100.0), False),
        (Bill(races=15.0, last=5.5, limit=110.0), True),
    ],
)
def test_no_race_is_held_that_would_go_beyond_their_share(bill: Bill, may: bool) -> None:
    racer = controller(race=Rules(share=0.2), timing=Score(every=1))
    observed = replace(seen(view()), bill=bill)
    assert (racer.asks(observed) is not None) == may
    wanted = controller(race=Rules(share=0.2)).wanted(observed)
    assert (wanted is not None) == may
    assert wanted is None or wanted.most == 0.2 * bill.limit - bill.races
    assert controller(race=Rules(share=None)).wanted(observed) is not None


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
    assert "big at b won against 0 others: utility 0.3000 nats a sample" in plan[0].reason


@pytest.mark.parametrize("max_live", [1, 2, 3])
def test_every_winner_germinates_with_its_own_numbers_as_far_as_there_is_room(
    max_live: int,
) -> None:
    second = replace(LOSER, site="a", gain=0.4, lower=0.05, won=True)
    observed = seen(view("a"), view("b"), view("c"), raced=(WINNER, second))
    racer = controller(max_live=max_live)
    plan = racer.decide(observed)
    check_plan(plan, observed)
    births = [move for move in plan if move.event is Event.GERMINATE]
    assert [(move.site, move.blueprint) for move in births] == [("b", "big"), ("a", "small")][
        :max_live
    ]
    assert [move.numbers["gain"] for move in births] == [0.5, 0.4][:max_live]
    wanted = racer.wanted(seen(view("a"), view("b"), view("c", Stage.GERMINATED)))
    assert (0 if wanted is None else wanted.room) == max_live - 1


SPREAD = replace(WINNER, others=("a", "c"))
BORN = {"stage": Stage.FOSSILIZED, "births": 1}


@pytest.mark.parametrize("max_live", [1, 2, 3])
def test_who_won_in_several_slots_grows_in_as_many_as_there_is_room_for(max_live: int) -> None:
    observed = seen(view("a"), view("b"), view("c"), raced=(LOSER, SPREAD))
    plan = controller(max_live=max_live).decide(observed)
    check_plan(plan, observed)
    births = [move for move in plan if move.event is Event.GERMINATE]
    assert [(move.site, move.blueprint) for move in births] == [
        (s, "big") for s in "bac"[:max_live]
    ]
    assert "big at b won against 0 others, tried in a and c as well: utility" in births[0].reason


@pytest.mark.parametrize("kept", [Stage.FOSSILIZED, Stage.HOLDING])
def test_what_a_winner_spreads_to_grows_later_and_nothing_races_before_it(kept: Stage) -> None:
    slots = [view("a", age=9), view("b", kept, births=1), view("c", age=9), view("d", age=9)]
    observed = seen(*slots, tick=8, raced=(LOSER, SPREAD))
    racer = controller(max_live=2)
    assert racer.wanted(observed) is None
    plan = racer.decide(observed)
    check_plan(plan, observed)
    births = [move for move in plan if move.event is Event.GERMINATE]
    assert [move.site for move in births] == ["a", "c"][: 1 if kept in ALIVE else 2]
    assert "as at tick 5: big at b won against" in births[0].reason
    assert births[0].numbers["gain"] == 0.5
    assert births[0].numbers["slots"] == 3
    assert births[0].numbers.keys().isdisjoint({"drop", "race_steps"})  # of the seed in b


def test_what_a_winner_spreads_to_needs_no_share_of_races_and_no_race() -> None:
    slots = [view("a", age=9), view("b", **BORN), view("c", age=9)]
    spent = Bill(races=10.0, last=10.0, limit=100.0)
    observed = replace(seen(*slots, tick=8, raced=(SPREAD,)), bill=spent)
    assert controller(timing=Score(every=1)).asks(observed) is not None
    assert controller(timing=Score(every=1)).asks(replace(observed, raced=())) is None


def test_a_seed_that_is_about_to_be_pruned_ends_it_as_well() -> None:
    useless = {"stage": Stage.HOLDING, "births": 1, "age": 9, "contribution": -0.1}
    slots = [view("a", **useless), view("b", **BORN), view("c", age=9)]
    plan = controller(max_live=2).decide(seen(*slots, tick=8, raced=(SPREAD,)))
    assert told(plan) == [("a", "prune", None)]


@pytest.mark.parametrize(
    ("a", "b", "c", "grown"),
    [
        ({"age": 2, "births": 1}, BORN, {"age": 3}, ""),  # a seed was born in a, and pruned
        ({"age": 3}, BORN, {"age": 3}, "ac"),
        ({"age": 3, **BORN}, BORN, {"age": 3}, "c"),
        ({"age": 3, **BORN}, BORN, {"age": 3, **BORN}, ""),
        ({"age": 3}, {"age": 3}, {"age": 3}, ""),  # it was put back, and nothing was born
        ({"age": 3}, {"stage": Stage.EMBARGOED, "births": 1}, {"age": 3}, ""),
        ({"age": 3, "stage": Stage.PRUNED, "births": 1}, BORN, {"age": 3}, ""),
    ],
)
def test_a_winner_spreads_no_more_once_a_seed_of_it_has_been_pruned(
    a: Any, b: Any, c: Any, grown: str
) -> None:
    slots = [view(name, **facts) for name, facts in zip("abc", (a, b, c), strict=True)]
    observed = seen(*slots, view("d"), tick=8, raced=(SPREAD,))
    racer = controller(max_live=3)
    births = [move.site for move in racer.decide(observed) if move.event is Event.GERMINATE]
    assert births == list(grown)
    assert (racer.wanted(observed) is None) == bool(grown)


def test_a_race_is_told_by_its_winners_or_by_the_best_of_those_that_had_a_turn() -> None:
    second = replace(LOSER, site="a", gain=0.9, lower=0.05, won=True)
    assert account((WINNER, second, LOSER)).count(" won against ") == 2
    assert "small at a won against 1 others: " in account((WINNER, second, LOSER))
    other = replace(BEST, site="c", gain=0.3)
    assert leader((LOSER, other, BEST)) is BEST
    assert leader((LOSER, replace(BEST, gain=9.0), WINNER)) is WINNER
    assert account((LOSER, other, BEST)).startswith("big at b came before 0 others, but is not")


@pytest.mark.parametrize("raced", [(), (LOSER, BEST), (LOSER, replace(WINNER, tick=4))], ids=len)
def test_without_a_winner_of_this_very_tick_and_a_slot_to_spread_to_nothing_is_grown(
    raced: tuple[Entry, ...],
) -> None:
    assert controller().decide(seen(view("a"), view("b"), raced=raced)) == []


def test_live_seeds_go_on_at_their_pace() -> None:
    plan = controller().decide(seen(view("a", Stage.GERMINATED), raced=(LOSER, WINNER)))
    assert [(d.site, d.event) for d in plan] == [("a", Event.TRAIN)]
