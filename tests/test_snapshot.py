"""Copies in memory, and the way back to them."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from runs import IMAGES, TOKENS, VECTORS, fit, made, same, timeline

from kasmina.callbacks.base import announce, growing
from kasmina.rollback import whole
from kasmina.snapshot import Rolling, Snapshot, finite
from kasmina.strategies import commit_topology

LIFE = ("germinate mlp", "train", "blend", "hold", "fossilize")
MOVED = ("weights", "topology", "optimizers", "schedulers", "random")


@dataclass
class Return(Callback):
    """Takes a snapshot after one step, goes back to it after another, and compares."""

    take: int
    back: int
    moved: tuple[str, ...] = ()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        module, step = growing(pl_module), trainer.global_step
        if step == self.take:
            self.snapshot = Snapshot.take(trainer, module)
        if step == self.back:
            now = Snapshot.take(trainer, module).parts
            self.moved = tuple(k for k in MOVED if not same(now[k], self.snapshot.parts[k]))
            for _ in range(2):  # the snapshot is not used up
                random.seed(1)
                np.random.seed(1)
                torch.manual_seed(1)
                self.snapshot.restore(trainer, module)
                assert same(Snapshot.take(trainer, module).parts, self.snapshot.parts)
            assert finite(module)
            announce(trainer, module, 0, whole("the test wants it", {}))
            commit_topology(trainer)


def lives(blueprint: str, site: str) -> list[str]:
    entries = [f"{at} {site} {do}" for at, do in enumerate(LIFE, start=1)]
    return timeline(*(text.replace("mlp", blueprint) for text in entries))


@pytest.mark.parametrize("take", range(3, 24, 4))
def test_a_restored_run_is_the_snapshot_bit_for_bit_at_every_stage(
    tmp_path: Path, take: int
) -> None:
    back = Return(take=take, back=take + 3)
    options = (*VECTORS, *lives("mlp", "layers.0"), "controller.pace=null", "ramp.ticks=1")
    fit(tmp_path, *options, "trainer.max_epochs=8", callbacks=(back,))
    assert back.moved == (*MOVED,)


@pytest.mark.parametrize(
    ("network", "blueprint", "site"),
    [(IMAGES, "conv_light", "stages.0"), ((*TOKENS, "host.dropout=0.2"), "lora", "blocks.1")],
    ids=["batch statistics", "dropout"],
)
def test_so_it_is_across_a_birth_and_a_fossilization(
    tmp_path: Path, network: tuple[str, ...], blueprint: str, site: str
) -> None:
    back = Return(take=2, back=22)
    options = (*network, *lives(blueprint, site), "controller.pace=null", "ramp.ticks=1")
    run = fit(tmp_path, *options, "trainer.max_epochs=8", callbacks=(back,))
    assert back.moved == (*MOVED,)
    assert run.trainer.global_step == 32


def snapshots(*steps: int, validated: tuple[int, ...] = ()) -> list[Snapshot]:
    return [Snapshot(step, step in validated, {}) for step in steps]


def kept(rolling: Rolling) -> list[int]:
    return [each.step for each in rolling.kept]


def test_the_last_ones_stay_and_beside_them_the_last_that_was_validated() -> None:
    rolling = Rolling(every=5, keep=2)
    for each in snapshots(0, 5, 8, 10, 15, 18, 20, 25, 30, validated=(8, 18)):
        rolling.add(each)
    assert kept(rolling) == [18, 25, 30]


def test_a_validation_of_the_newest_needs_no_second_copy() -> None:
    rolling = Rolling(every=5, keep=1)
    for each in snapshots(0, 5):
        rolling.add(each)
    assert not rolling.validate(6)
    assert rolling.validate(5)
    for each in snapshots(10, 15):
        rolling.add(each)
    assert kept(rolling) == [5, 15]


@pytest.mark.parametrize(
    ("sound", "chosen", "left"),
    [(40, 30, [10, 20]), (29, 20, [10]), (20, 20, [10]), (19, 10, [10]), (3, 10, [10])],
)
def test_the_way_back_leads_before_the_trouble_and_the_oldest_stays(
    sound: int, chosen: int, left: list[int]
) -> None:
    rolling = Rolling(every=10, keep=3)
    for each in snapshots(10, 20, 30):
        rolling.add(each)
    assert rolling.back(sound).step == chosen
    assert kept(rolling) == left


def test_trouble_that_comes_again_leads_further_back() -> None:
    rolling = Rolling(every=10, keep=3)
    for each in snapshots(10, 20, 30):
        rolling.add(each)
    assert [rolling.back(99).step for _ in range(4)] == [30, 20, 10, 10]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_weight_that_is_not_finite_is_found(tmp_path: Path, value: float) -> None:
    module = made(tmp_path, *VECTORS).module
    assert finite(module)
    with torch.no_grad():
        list(module.parameters())[-1].view(-1)[-1] = value
    assert not finite(module)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"keep": 0}])
def test_no_snapshot_at_all_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="every and keep are at least 1"):
        Rolling(**wrong)
