"""A decision becomes a move, and nothing else changes."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from runs import VECTORS, Diary, fit, made, same, timeline

from kasmina.callbacks.base import GrowthCallback
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.optim import group_names
from kasmina.ramp import Ramp
from kasmina.stage import NEXT, Event, IllegalMove, Stage, hears
from kasmina.surgery import perform
from kasmina.topology import topology

SITE = "layers.0"


def tell(event: Event, **facts: Any) -> Decision:
    blueprint = "mlp" if event is Event.GERMINATE else None
    return Decision(SITE, event, "because", **{"blueprint": blueprint, **facts})


def way_to(stage: Stage) -> list[Event]:
    """The shortest way from dormant, by the table."""
    ways: dict[Stage, list[Event]] = {Stage.DORMANT: []}
    while stage not in ways:
        for start, way in list(ways.items()):
            for event, end in NEXT[start].items():
                ways.setdefault(end, [*way, event])
    return ways[stage]


def module_at(stage: Stage, folder: Path) -> GrowingModule:
    module = made(folder, *VECTORS).module
    for event in way_to(stage):
        perform(module, tell(event))
    return module


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)))
def test_every_decision_moves_its_slot_or_raises_and_changes_nothing(
    tmp_path: Path, stage: Stage, event: Event
) -> None:
    module = module_at(stage, tmp_path)
    before, weights = topology(module.model), dict(module.model.state_dict())
    if event in hears(stage):
        change = perform(module, tell(event))
        assert module.model.slot(SITE).stage == NEXT[stage][event] == change.stage_to
        assert change.stage_from == stage
    else:
        with pytest.raises(IllegalMove, match=f"cannot {event} while {stage}"):
            perform(module, tell(event))
        assert topology(module.model) == before
        assert same(dict(module.model.state_dict()), weights)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (tell(Event.GERMINATE, blueprint="mpl"), "unknown blueprint 'mpl'; did you mean 'mlp'"),
        (tell(Event.GERMINATE, blueprint=None), "unknown blueprint 'None'"),
        (Decision("layers.7", Event.TRAIN, "because"), r"unknown slot 'layers\.7'; did you mean"),
    ],
)
def test_what_does_not_exist_is_named_and_nothing_changes(
    tmp_path: Path, decision: Decision, message: str
) -> None:
    module = made(tmp_path, *VECTORS).module
    before = topology(module.model)
    with pytest.raises(ValueError, match=message):
        perform(module, decision)
    assert topology(module.model) == before


def test_a_blend_starts_from_the_alpha_that_is_and_ends_where_it_is_told(tmp_path: Path) -> None:
    module = module_at(Stage.TRAINING, tmp_path)
    slot = module.model.slot(SITE)
    perform(module, tell(Event.BLEND, target=0.5))
    assert slot.ramp == Ramp(target=0.5, start=0.0, done=1)
    while not slot.advance():
        pass
    perform(module, tell(Event.HOLD))
    perform(module, tell(Event.BLEND))
    assert slot.ramp == Ramp(target=1.0, start=0.5, done=1)


def test_a_prune_forgets_what_was_measured(tmp_path: Path) -> None:
    module = module_at(Stage.HOLDING, tmp_path)
    module.contributions.update({SITE: math.nan, "layers.1": 1.0})
    module.seed_losses.update({SITE: math.nan})
    perform(module, tell(Event.PRUNE))
    assert module.contributions == {"layers.1": 1.0}
    assert module.seed_losses == {}


def test_a_change_is_a_line_of_json_whatever_its_numbers(tmp_path: Path) -> None:
    module = module_at(Stage.TRAINING, tmp_path)
    numbers = {"gain": math.nan, "loss": math.inf, "age": 3}
    row = perform(module, tell(Event.PRUNE, numbers=numbers)).row()
    assert json.loads(json.dumps(row, allow_nan=False)) == {
        "site": SITE,
        "event": "prune",
        "from": "training",
        "to": "pruned",
        "blueprint": "mlp",
        "alpha": 0.0,
        "parameters": 8 * 2 + 8 * 32 + 32 + 32 * 8 + 8,
        "by": "controller",
        "reason": "because",
        "numbers": {"gain": "nan", "loss": "inf", "age": 3.0},
    }


class Groups(GrowthCallback):
    """Notes names and sizes of the param groups, and the optimizer's states, in every epoch."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.strays: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        self.names.append(group_names(optimizer))
        owned = {p for group in optimizer.param_groups for p in group["params"]}
        self.strays.append(len(set(optimizer.state) - owned))
        assert owned == set(pl_module.parameters())


def test_the_optimizer_follows_every_change(tmp_path: Path) -> None:
    groups = Groups()
    written = timeline(
        "1 layers.1 germinate mlp",
        "2 layers.1 train",
        "2 layers.0 germinate mlp",
        "2 layers.0 train",
        "3 layers.1 prune",
    )
    plain = (*VECTORS, "trainer.max_epochs=5", "controller.pace=null")
    fit(tmp_path, *plain, *written, callbacks=(groups, Diary()))
    assert groups.names == [
        ["host"],
        ["host", "layers.1"],
        ["host", "layers.1", "layers.0"],
        ["host", "layers.0"],
        ["host", "layers.0"],
    ]
    assert groups.strays == [0] * 5
