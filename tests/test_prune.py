"""Seeds that went bad go, and their slot rests."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from runs import VECTORS, events, fit, made, moves, timeline

from kasmina.callbacks.base import GrowthCallback
from kasmina.callbacks.prune import SeedPruning
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.stage import ALIVE, Event, Stage
from kasmina.surgery import perform

BORN = ("1 layers.0 germinate mlp", "1 layers.0 train")
PLAIN = (*VECTORS, "controller.pace=null", "trainer.max_epochs=8")
WAY = {
    Stage.DORMANT: [],
    Stage.GERMINATED: [Event.GERMINATE],
    Stage.TRAINING: [Event.GERMINATE, Event.TRAIN],
    Stage.BLENDING: [Event.GERMINATE, Event.TRAIN, Event.BLEND],
    Stage.HOLDING: [Event.GERMINATE, Event.TRAIN, Event.BLEND, Event.HOLD],
    Stage.FOSSILIZED: [Event.GERMINATE, Event.TRAIN, Event.BLEND, Event.HOLD, Event.FOSSILIZE],
    Stage.PRUNED: [Event.GERMINATE, Event.PRUNE],
    Stage.EMBARGOED: [Event.GERMINATE, Event.PRUNE, Event.EMBARGO],
}


def module_at(stage: Stage, folder: Path) -> GrowingModule:
    """A module whose first slot stands in ``stage``."""
    module = made(folder, *VECTORS).module
    for event in WAY[stage]:
        perform(module, Decision("layers.0", event, "to get there", blueprint="mlp"))
    assert module.model.slot("layers.0").stage == stage
    return module


def verdict(module: GrowingModule, **options: Any) -> Decision | None:
    return SeedPruning(**options).verdict(module, "layers.0")


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_the_end_of_an_open_seed(
    tmp_path: Path, stage: Stage, value: float
) -> None:
    module = module_at(stage, tmp_path)
    assert verdict(module) is None
    for parameter in module.model.slot("layers.0").parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] = value
    decision = verdict(module)
    assert (decision is not None) == (stage in ALIVE)
    if decision is not None:
        assert decision.event is Event.PRUNE
        assert decision.by == "pruning"


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("contribution", [None, 0.2, -0.1, -0.11, math.nan])
def test_harm_beyond_the_limit_is_the_end_of_a_seed_that_speaks(
    tmp_path: Path, stage: Stage, contribution: float | None
) -> None:
    module = module_at(stage, tmp_path)
    if contribution is not None:
        module.contributions["layers.0"] = contribution
    harmful = contribution is not None and not contribution >= -0.1
    speaks = stage in {Stage.BLENDING, Stage.HOLDING}
    assert bool(verdict(module, max_harm=0.1)) == (harmful and speaks)
    assert verdict(module, max_harm=None) is None


@pytest.mark.parametrize("cooldown", [1, 2, 4])
def test_a_slot_rests_for_the_cool_down_and_is_empty_again(tmp_path: Path, cooldown: int) -> None:
    written = timeline(*BORN, "2 layers.0 prune")
    fit(tmp_path, *PLAIN, *written, f"callbacks.pruning.cooldown={cooldown}")
    assert moves(tmp_path)[2:] == [
        (2, "layers.0", "prune"),
        (3, "layers.0", "embargo"),
        (2 + cooldown, "layers.0", "release"),
    ]


def test_an_empty_slot_can_grow_again(tmp_path: Path) -> None:
    written = timeline(*BORN, "2 layers.0 prune", "4 layers.0 germinate mlp")
    run = fit(tmp_path, *PLAIN, *written, "callbacks.pruning.cooldown=1")
    assert run.module.model.slot("layers.0").births == 2


class Breaks(GrowthCallback):
    """Breaks the seed of the first slot in the middle of an epoch."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GrowingModule)
        if trainer.current_epoch == 2 and batch_idx == 1:
            for parameter in pl_module.model.slot("layers.0").parameters():
                parameter.data.fill_(math.nan)


def test_a_broken_seed_is_pruned_at_the_next_tick_and_training_goes_on(tmp_path: Path) -> None:
    written = timeline(*BORN)
    run = fit(tmp_path, *PLAIN, *written, callbacks=(Breaks(),))
    fate = next(event for event in events(tmp_path) if event["event"] == "prune")
    assert (fate["tick"], fate["by"]) == (3, "pruning")
    assert fate["reason"] == "a weight of the seed is not finite"
    assert all(p.isfinite().all() for p in run.module.parameters())
    assert run.trainer.current_epoch == 8


def test_a_plan_for_a_seed_that_has_just_been_pruned_is_moot(tmp_path: Path) -> None:
    written = timeline(*BORN, "3 layers.0 blend")
    fit(tmp_path, *PLAIN, *written, callbacks=(Breaks(),))
    assert (3, "layers.0", "prune") in moves(tmp_path)
    assert (3, "layers.0", "blend") not in moves(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cooldown": 0}, "a cool-down takes at least 1 tick, not 0"),
        ({"max_harm": -0.1}, r"max_harm is at least 0, not -0\.1"),
    ],
)
def test_a_wrong_number_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SeedPruning(**options)
