"""Probes within runs, for a timing: what they leave alone, what they cost, what they set off."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from runs import IMAGES, VECTORS, Keep, checkpoint, events, fit, load, moves, rows, run, same

from kasmina.lit import GrowingModule

SCORE = ("timing=score", "timing.every=2", "timing.batches=4", "controller=biggest")
NEVER = (*SCORE, "timing.least=1000.0")
ALWAYS = (*SCORE, "timing.least=0.0", "timing.ratio=1e-9", "pace.tail=0", "pace.incubate=1")

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Notes(Callback):
    """Everything of the network, the random state and the data, at every batch."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GrowingModule)
        state = {name: t.clone() for name, t in pl_module.model.state_dict().items()}
        grads = [None if p.grad is None else p.grad.clone() for p in pl_module.parameters()]
        modes = [each.training for each in pl_module.modules()]
        self.steps.append((state, grads, modes, torch.get_rng_state(), batch[0].clone()))


def test_a_run_that_is_probed_and_never_grows_is_the_run_without_growth_bit_for_bit(
    tmp_path: Path,
) -> None:
    notes, short = {}, ("trainer.max_epochs=3", "test=false", "pace.tail=0")
    for name, options in {"none": ("controller=none",), "score": NEVER}.items():
        notes[name] = Notes()
        fit(tmp_path / name, *IMAGES, *options, *short, callbacks=(notes[name],))
    assert same(notes["score"].steps, notes["none"].steps)
    losses = [[r["val/loss"] for r in rows(tmp_path / name)] for name in ("score", "none")]
    assert losses[0] == losses[1]
    (told,) = events(tmp_path / "score")
    assert (told["tick"], told["event"], told["site"]) == (2, "probe", "*")
    assert "promises only" in told["reason"]
    assert told["numbers"]["wanted_lower"] == 1000.0
    bills = [load(tmp_path / name, "ledger.json")["flops"] for name in ("score", "none")]
    assert bills[0]["probe"] > 0 == bills[1]["probe"]
    assert bills[0]["total"] - bills[0]["probe"] == pytest.approx(bills[1]["total"], rel=1e-12)


def test_a_run_grows_where_enough_is_promised_and_a_resumed_one_alike(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    options = (*VECTORS, *ALWAYS, "trainer.max_epochs=5", "test=false")
    fit(whole, *options, callbacks=(Keep(whole),))
    probe, birth = events(whole)[:2]
    assert moves(whole)[:2] == [(2, "*", "probe"), (2, birth["site"], "germinate")]
    assert birth["reason"].startswith(probe["reason"])
    assert probe["numbers"]["ratio"] > 0
    folder = shutil.copytree(whole, tmp_path / "run")  # stopped while the plan waited
    saved = folder / "checkpoints"
    shutil.copy(saved / "epoch2.ckpt", saved / "last.ckpt")
    run(folder, *options, f"resume={folder}")
    ends = [checkpoint(path / "checkpoints" / "last.ckpt") for path in (folder, whole)]
    for part in ("state_dict", "optimizer_states", "topology"):
        assert same(ends[0][part], ends[1][part])
    assert events(folder) == events(whole)
    assert load(folder, "ledger.json")["flops"] == load(whole, "ledger.json")["flops"]


def test_a_race_is_held_where_enough_is_promised(tmp_path: Path) -> None:
    race = ("controller=race", "controller.race.steps=2", "controller.race.twin=2")
    short = ("trainer.max_epochs=3", "test=false")
    options = (*VECTORS, *ALWAYS[:3], *race, *ALWAYS[4:], *short)
    fit(tmp_path, *options, "controller.race.held_out=16")
    assert moves(tmp_path)[:2] == [(2, "*", "probe"), (2, "*", "race")]
