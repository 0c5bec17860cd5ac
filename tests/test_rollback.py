"""What becomes of every slot when a run is put back."""

from itertools import product
from pathlib import Path

import pytest
from runs import VECTORS, made

from kasmina import topology
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.rollback import culprit, reconcile, stands, verdict
from kasmina.stage import ALIVE, ROLLBACK, Event, Stage
from kasmina.surgery import perform

SITE, OTHER = "layers.0", "layers.1"
LIFE = [
    Event.GERMINATE,
    Event.TRAIN,
    Event.BLEND,
    Event.HOLD,
    Event.FOSSILIZE,
]
SEEDED = [*sorted(ALIVE), Stage.FOSSILIZED]
ENDED = (*LIFE[:3], Event.PRUNE)
RESTS = (*ENDED, Event.EMBARGO)


def to(module: GrowingModule, *events: Event, site: str = SITE) -> None:
    for event in events:
        perform(module, Decision(site, event, "to get there", blueprint="mlp"))


@pytest.fixture
def module(tmp_path: Path) -> GrowingModule:
    return made(tmp_path, *VECTORS).module


@pytest.mark.parametrize(
    ("then", "now"), [(a, b) for a, b in product(range(1, 6), range(1, 6)) if a <= b]
)
def test_a_seed_that_is_still_here_stands_where_it_stood(
    module: GrowingModule, then: int, now: int
) -> None:
    to(module, *LIFE[:then])
    saved, stage = topology.topology(module.model), module.model.slot(SITE).stage
    to(module, *LIFE[then:now])
    before = stands(module.model)
    topology.restore(module.model, saved)
    changes = reconcile(module, before, "why")
    assert topology.topology(module.model) == saved
    assert [(c.site, c.event, c.stage_to) for c in changes] == (
        [] if then == now else [(SITE, ROLLBACK, stage)]
    )


@pytest.mark.parametrize("now", range(1, 6))
def test_a_seed_born_since_is_gone_and_its_slot_rests(module: GrowingModule, now: int) -> None:
    saved = topology.topology(module.model)
    to(module, *LIFE[:now])
    before = stands(module.model)
    topology.restore(module.model, saved)
    (change,) = reconcile(module, before, "why")
    slot = module.model.slot(SITE)
    assert (slot.stage, slot.seed, slot.births, slot.age) == (Stage.PRUNED, None, 1, 0)
    assert (change.stage_from, change.stage_to) == (before[SITE].stage, Stage.PRUNED)
    assert (change.blueprint, change.by) == ("mlp", "governor")


@pytest.mark.parametrize("since", [ENDED, RESTS, (*RESTS, Event.RELEASE)], ids=len)
@pytest.mark.parametrize("then", [1, 2, 3])
def test_a_seed_that_was_pruned_since_does_not_come_back(
    module: GrowingModule, then: int, since: tuple[Event, ...]
) -> None:
    to(module, *LIFE[:then])
    saved = topology.topology(module.model)
    to(module, *since[then:])
    before, now = stands(module.model), topology.topology(module.model)
    topology.restore(module.model, saved)
    assert reconcile(module, before, "why") == []
    assert topology.topology(module.model) == now


def test_neither_does_it_in_the_place_of_another_that_was_born_since(
    module: GrowingModule,
) -> None:
    to(module, *LIFE[:3])
    saved = topology.topology(module.model)
    to(module, Event.PRUNE, Event.EMBARGO, Event.RELEASE, *LIFE[:2])
    before = stands(module.model)
    topology.restore(module.model, saved)
    (change,) = reconcile(module, before, "why")
    slot = module.model.slot(SITE)
    assert (slot.stage, slot.seed, slot.births) == (Stage.PRUNED, None, 2)
    assert change.stage_from == Stage.TRAINING


@pytest.mark.parametrize("first", SEEDED)
@pytest.mark.parametrize("second", SEEDED)
def test_the_culprit_is_the_seed_that_blends_else_the_one_that_holds(
    module: GrowingModule, first: Stage, second: Stage
) -> None:
    stages = {SITE: first, OTHER: second}
    for site, stage in stages.items():
        to(module, *LIFE[: 1 + list(Stage).index(stage) - 1], site=site)
        assert module.model.slot(site).stage is stage
    wanted = next(
        (site for s in (Stage.BLENDING, Stage.HOLDING) for site in stages if stages[site] is s),
        None,
    )
    assert culprit(module.model) == wanted
    decision = verdict(module, wanted, "why")
    assert (decision is None) == (wanted is None)
    if decision is not None:
        assert perform(module, decision).by == "governor"


def test_among_seeds_of_one_stage_the_youngest_is_the_culprit(module: GrowingModule) -> None:
    for site, age in ((SITE, 4), (OTHER, 2)):
        to(module, *LIFE[:3], site=site)
        module.model.slot(site).age = age
    assert culprit(module.model) == OTHER


def test_a_slot_that_the_rollback_has_emptied_is_not_pruned_again(module: GrowingModule) -> None:
    assert verdict(module, SITE, "why") is None
