"""Every controller as a function of what it sees."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kasmina.callbacks.lifecycle import check_plan
from kasmina.control import (
    Biggest,
    Decision,
    Heuristic,
    NoGrowth,
    Observation,
    Pace,
    Periodic,
    Plateau,
    Random,
    Replay,
    Schedule,
    SlotView,
)
from kasmina.stage import ALIVE, Event, Stage

SIZES = {"small": 10, "big": 90, "middle": 40}


def view(site: str = "a", stage: Stage = Stage.DORMANT, **facts: Any) -> SlotView:
    plain = SlotView(
        site=site,
        kind="map",
        width=8,
        stage=stage,
        age=0,
        births=0,
        alpha=0.0,
        blueprint=None,
        parameters=0,
        contribution=None,
        seed_loss=None,
        sizes=SIZES,
    )
    return replace(plain, **facts)


def seen(*slots: SlotView, tick: int = 5, **facts: Any) -> Observation:
    plain = Observation(
        tick=tick,
        ticks=None,
        epoch=tick - 1,
        step=10 * tick,
        metrics={},
        history=(0.0,) * tick,
        slots=slots,
    )
    return replace(plain, **facts)


def growers(**options: Any) -> list[Any]:
    arguments = {"timing": Periodic(every=1, start=1), "pace": Pace(), **options}
    return [kind(**arguments) for kind in (Heuristic, Biggest, Random)]


def told(plan: list[Decision]) -> list[tuple[str, str, str | None]]:
    return [(d.site, str(d.event), d.blueprint) for d in plan]


# --- what all that grow have in common ---


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


# --- which slot and which blueprint ---


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


# --- when ---


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
        (lambda: Pace(incubate=0), "incubate takes at least 1 tick, not 0"),
        (lambda: Pace(hold=0), "hold takes at least 1 tick, not 0"),
        (lambda: Pace(tail=-1), "tail is at least 0 ticks, not -1"),
    ],
)
def test_a_wrong_number_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


# --- how fast, and what a seed must show ---

HELPS, HARMS = {"contribution": 0.3}, {"contribution": -0.3}


def next_move(pace: Pace, stage: Stage, **facts: Any) -> Event | None:
    decision = pace.decide(view(stage=stage, **facts))
    return decision and decision.event


@pytest.mark.parametrize(("stage", "age"), list(product(Stage, range(6))))
def test_a_seed_moves_on_when_its_time_in_a_stage_is_over(stage: Stage, age: int) -> None:
    expected = {
        Stage.GERMINATED: Event.TRAIN,
        Stage.TRAINING: Event.BLEND if age >= 3 else None,
        Stage.HOLDING: Event.FOSSILIZE if age >= 2 else None,
    }
    pace = Pace(incubate=3, hold=2)
    assert next_move(pace, stage, age=age, **HELPS) == expected.get(stage)


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
    decision = Pace(hold=2).decide(view(stage=Stage.HOLDING, age=2, **HELPS))
    assert decision is not None
    assert decision.reason == "contribution +0.3000 reaches +0.0000 after 2 ticks holding"
    assert decision.numbers == {"contribution": 0.3, "minimum": 0.0, "age": 2}


# --- a written timeline ---


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
    ripe = [view(site, Stage.HOLDING, age=3, **HELPS) for site in "ab"]
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


# --- none ---


def test_no_growth_decides_nothing() -> None:
    assert NoGrowth().decide(seen(view(), view("b", Stage.HOLDING, age=99))) == []
