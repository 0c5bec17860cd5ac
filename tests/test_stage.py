"""The lifecycle's table, held against one written down a second time."""

from itertools import product

import pytest

from kasmina.stage import ALIVE, NEXT, Event, IllegalMove, Stage, after, diagram, hears

MOVES = """
dormant -germinate-> germinated
germinated -train-> training
training -blend-> blending
blending -hold-> holding
holding -blend-> blending
holding -fossilize-> fossilized
germinated -prune-> pruned
training -prune-> pruned
blending -prune-> pruned
holding -prune-> pruned
pruned -embargo-> embargoed
embargoed -release-> dormant
"""
LEGAL = {
    (Stage(line.split(" -")[0]), Event(line.split("-")[1])): Stage(line.split("> ")[1])
    for line in MOVES.strip().splitlines()
}


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)))
def test_every_pair_moves_or_raises(stage: Stage, event: Event) -> None:
    if (stage, event) in LEGAL:
        assert after(stage, event) is LEGAL[stage, event]
    else:
        with pytest.raises(IllegalMove, match=f"cannot {event} while {stage}; this stage hears: "):
            after(stage, event)


@pytest.mark.parametrize("stage", Stage)
def test_a_refusal_names_everything_that_the_stage_hears(stage: Stage) -> None:
    deaf = next(event for event in Event if event not in NEXT[stage])
    with pytest.raises(IllegalMove) as refused:
        after(stage, deaf)
    named = str(refused.value).rpartition(": ")[2]
    assert named == (", ".join(hears(stage)) or "nothing, it is final")


def test_every_stage_has_a_row_and_every_event_a_use() -> None:
    assert set(NEXT) == set(Stage)
    assert {event for row in NEXT.values() for event in row} == set(Event)


def test_only_a_fossil_is_final() -> None:
    assert [stage for stage in Stage if not hears(stage)] == [Stage.FOSSILIZED]


def test_every_stage_is_reached_from_dormant() -> None:
    reached = {Stage.DORMANT}
    for _ in Stage:
        reached |= {target for stage in reached for target in NEXT[stage].values()}
    assert reached == set(Stage)


def test_the_seeds_that_can_be_pruned_are_those_that_are_alive() -> None:
    assert {stage for stage in Stage if Event.PRUNE in NEXT[stage]} == ALIVE


def test_the_diagram_draws_every_move_once() -> None:
    first, start, *rows = diagram().splitlines()
    drawn = [f"    {stage} --> {target}: {event}" for (stage, event), target in LEGAL.items()]
    assert (first, start) == ("stateDiagram-v2", "    [*] --> dormant")
    assert sorted(rows) == sorted(drawn)
