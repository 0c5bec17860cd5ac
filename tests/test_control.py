"""Every controller as a function of what it sees."""

from itertools import product
from typing import Any

import pytest
from views import SIZES, seen, told, view

from kasmina.callbacks.lifecycle import check_plan
from kasmina.control import Biggest, Heuristic, NoGrowth, Pace, Periodic, Random
from kasmina.stage import ALIVE, Event, Stage


def growers(**options: Any) -> list[Any]:
    arguments = {"timing": Periodic(every=1, start=1), "pace": Pace(), **options}
    return [kind(**arguments) for kind in (Heuristic, Biggest, Random)]


@pytest.mark.parametrize("grower", growers())
def test_a_germinated_seed_trains_at_once(grower: Any) -> None:
    plan = grower.decide(seen(view()))
    assert [d.event for d in plan] == [Event.GERMINATE, Event.TRAIN]
    assert plan[0].blueprint in SIZES
    assert plan[0].numbers == {"parameters": SIZES[plan[0].blueprint]}


@pytest.mark.parametrize(("grower", "stage"), list(product(growers(max_live=2), Stage)))
def test_no_more_seeds_are_open_than_max_live(grower: Any, stage: Stage) -> None:
    slots = [view("a", stage, age=0), view("b", stage), view("c")]
    born = [d for d in grower.decide(seen(*slots)) if d.event is Event.GERMINATE]
    full = stage in ALIVE
    assert len(born) == (0 if full else 1)
    if not full and stage is not Stage.DORMANT:
        assert born[0].site == "c"


@pytest.mark.parametrize("grower", growers())
def test_a_slot_that_no_blueprint_fits_stays_empty(grower: Any) -> None:
    assert grower.decide(seen(view(sizes={}))) == []
    assert grower.decide(seen(view(sizes={}), view("b")))[0].site == "b"


@pytest.mark.parametrize(("tail", "tick"), list(product([0, 3], range(1, 12))))
def test_nothing_is_born_in_the_tail_of_a_run(tail: int, tick: int) -> None:
    for grower in growers(pace=Pace(tail=tail)):
        plan = grower.decide(seen(view(), tick=tick, ticks=9))
        assert bool(plan) == (tick <= 9 - tail)
        assert grower.decide(seen(view(), tick=tick, ticks=None))


@pytest.mark.parametrize("grower", growers(max_live=3))
def test_every_plan_is_legal_in_whatever_stages_the_slots_are(grower: Any) -> None:
    for stages in product(Stage, repeat=3):
        slots = [view(site, stage, age=9) for site, stage in zip("abc", stages, strict=True)]
        looked_at = seen(*slots)
        check_plan(grower.decide(looked_at), looked_at)


def test_a_grower_decides_the_same_on_the_same_observation() -> None:
    slots = [view("a"), view("b", Stage.TRAINING, age=9, contribution=1.0), view("c")]
    for grower in growers(max_live=3):
        assert grower.decide(seen(*slots)) == grower.decide(seen(*slots))


@pytest.mark.parametrize("kind", [Heuristic, Biggest, Random])
def test_room_for_no_seed_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="max_live is at least 1 seed, not 0"):
        kind(timing=Periodic(), pace=Pace(), max_live=0)


def test_the_heuristic_takes_slots_in_turn_and_blueprints_in_rotation() -> None:
    births = {"a": 0, "b": 0}
    chosen = []
    for _ in range(7):
        plan = growers()[0].decide(seen(*(view(s, births=n) for s, n in births.items())))
        chosen.append((plan[0].site, plan[0].blueprint))
        births[plan[0].site] += 1
    sites, names = zip(*chosen, strict=True)
    assert sites == ("a", "b", "a", "b", "a", "b", "a")
    assert names == ("small", "big", "middle", "small", "big", "middle", "small")


def test_biggest_takes_the_blueprint_with_the_most_parameters() -> None:
    plan = growers()[1].decide(seen(view("a", births=1), view("b", sizes={"x": 3, "y": 2})))
    assert told(plan)[0] == ("b", "germinate", "x")
    assert told(growers()[1].decide(seen(view())))[0] == ("a", "germinate", "big")


def test_random_is_a_function_of_its_seed_and_the_tick() -> None:
    slots = [view(site) for site in "abcd"]

    def lots(seed: int) -> list[tuple[str, str, str | None]]:
        lottery = Random(timing=Periodic(every=1, start=1), pace=Pace(), seed=seed)
        return [told(lottery.decide(seen(*slots, tick=tick)))[0] for tick in range(1, 40)]

    assert lots(1) == lots(1)
    assert lots(1) != lots(2)
    assert {(site, name) for site, _, name in lots(1) + lots(2)} == set(product("abcd", SIZES))


def test_no_growth_decides_nothing() -> None:
    assert NoGrowth().decide(seen(view(), view("b", Stage.HOLDING, age=99))) == []
