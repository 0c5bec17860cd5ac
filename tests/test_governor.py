"""Runs that are broken on purpose: each goes back, goes on, or ends with a word."""

import logging
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from runs import FAST, VECTORS, checkpoint, events, fit, load, moves, run, same, timeline
from torch import Tensor
from toys import Plain

from kasmina.assembly import Run
from kasmina.callbacks.base import GrowthCallback, growing, the
from kasmina.callbacks.governor import Governor
from kasmina.lit import GrowingModule
from kasmina.report.lives import lives_of
from kasmina.report.runs import read_run
from kasmina.stage import Stage
from kasmina.surgery import Change

HERE = Path(__file__).parent
BARE = (*VECTORS, "controller=none", "trainer.max_epochs=8")
LOOKS = ("callbacks.governor.look_every=1", "callbacks.governor.snapshot_every=4")
SPEAKS = 12
"""The step after which the seed of ``GROWS`` has begun to blend."""
WRITTEN = (
    *VECTORS,
    "controller.pace=null",
    "+blueprint.exploding._target_=test_governor.Exploding",
    "trainer.max_epochs=8",
    "test=false",
)
LIFE = ("1 layers.0 germinate exploding", "1 layers.0 train", "3 layers.0 blend")
GROWS = (*WRITTEN, *timeline(*LIFE))


class Exploding(Plain):
    """As ``Plain``, until it is blended in: then its features overflow."""

    def forward(self, h: Tensor) -> Tensor:
        out = super().forward(h)
        return out * 1e39 if h.requires_grad else out  # in training its input is detached


class Spoil(Callback):
    """Spoils ``what`` in some steps: ``grad``, ``batch``, or the ``loss`` that is seen."""

    def __init__(self, what: str, *, steps: list[int], value: float = math.nan) -> None:
        self.what, self.steps, self.value = what, steps, float(value)

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, at: int) -> None:
        if self.what == "batch" and trainer.global_step in self.steps:
            batch[0].fill_(self.value)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step not in self.steps:
            return
        if self.what == "grad":
            for parameter in pl_module.parameters():
                if parameter.grad is not None:
                    parameter.grad.fill_(self.value)
        if self.what == "loss":
            growing(pl_module).task_loss = torch.tensor(self.value)


class Collapse(GrowthCallback):
    """From an epoch on, and until the run is put back, the network knows nothing."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.over = False

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch >= self.epoch and not self.over:
            with torch.no_grad():
                for parameter in growing(pl_module).model.host.parameters():
                    parameter.zero_()

    def on_change(self, *_: Any) -> None:
        self.over = True


def governor(objects: Run) -> Governor:
    return the(objects.trainer, Governor)


def rollbacks(folder: Path) -> list[dict[str, Any]]:
    return [e for e in events(folder) if e["event"] == "rollback" and e["site"] == "*"]


def finite(objects: Run) -> bool:
    return all(bool(p.isfinite().all()) for p in objects.module.parameters())


@pytest.mark.parametrize("look_every", [1, 7])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("what", ["grad", "batch"])
def test_a_run_gets_over_what_is_not_finite_and_its_data_goes_on(
    tmp_path: Path, what: str, window: int, look_every: int
) -> None:
    options = (*BARE, f"trainer.accumulate_grad_batches={window}", *LOOKS)
    looks = f"callbacks.governor.look_every={look_every}"
    run = fit(tmp_path, *options, looks, callbacks=(Spoil(what, steps=[9]),))
    (row,) = rollbacks(tmp_path)
    # a gradient of an epoch's last step is seen first by the validation
    seen = "val/loss" if (what, window) == ("grad", 3) else "train/loss"
    assert (row["by"], row["reason"]) == ("governor", f"{seen} is nan")
    assert row["numbers"][seen] == "nan"
    assert row["numbers"]["to_step"] == 8
    assert (row["from"], row["to"]) == ("dormant", "dormant")
    assert finite(run)
    assert governor(run).done == 1
    assert not governor(run).diverged
    assert run.trainer.global_step == 8 * math.ceil(4 / window)


def test_a_seed_that_explodes_as_it_blends_goes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    grown, bare = tmp_path / "grown", tmp_path / "bare"
    # both see the trouble after the same step, so both go back to the same one
    steps = {"callbacks": (Spoil("loss", steps=[SPEAKS]),)}
    seeded = fit(grown, *GROWS, *LOOKS, **steps)  # type: ignore[arg-type]
    alone = fit(bare, *WRITTEN, *timeline(), *LOOKS, **steps)  # type: ignore[arg-type]
    assert rollbacks(grown) == [{**rollbacks(bare)[0], "tick": rollbacks(grown)[0]["tick"]}]
    assert ("layers.0", "prune") in [move[1:] for move in moves(grown)]
    host = [each.module.model.host.state_dict() for each in (seeded, alone)]
    assert same(*map(dict, host))
    states = [each.trainer.optimizers[0].state_dict() for each in (seeded, alone)]
    assert same(*states)


def test_an_explosion_is_seen_and_the_seed_pruned_for_the_record(tmp_path: Path) -> None:
    run(tmp_path, *GROWS, *LOOKS)
    (row,) = rollbacks(tmp_path)
    told = [e for e in events(tmp_path) if e["step"] == row["step"] and e["by"] == "governor"]
    assert [(e["site"], e["event"], e["from"], e["to"]) for e in told] == [
        ("*", "rollback", "dormant", "dormant"),
        ("layers.0", "rollback", "blending", "training"),
        ("layers.0", "prune", "training", "pruned"),
    ]
    assert row["step"] == SPEAKS + 1
    assert [seed["fate"] for seed in load(tmp_path, "ledger.json")["seeds"]] == ["pruned"]
    (life,) = lives_of(read_run(tmp_path).events)
    assert (life.fate, life.stage) == ("pruned", Stage.PRUNED)
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert last["param_groups"] == ["host"]
    assert all(bool(weight.isfinite().all()) for weight in last["state_dict"].values())


def test_a_seed_born_since_the_snapshot_is_undone_and_its_slot_rests(tmp_path: Path) -> None:
    rare = ("callbacks.governor.snapshot_every=1000", "ramp.ticks=1")
    quick = (*GROWS, *rare, "callbacks.ticker.every_n_steps=1", "trainer.max_epochs=2")
    run(tmp_path, *quick, "callbacks.governor.look_every=1")
    told = [(e["site"], e["event"], e["to"]) for e in events(tmp_path) if e["by"] == "governor"]
    assert told == [("*", "rollback", "dormant"), ("layers.0", "rollback", "pruned")]
    slot = checkpoint(tmp_path / "checkpoints" / "last.ckpt")["topology"]["slots"]["layers.0"]
    assert (slot["births"], slot["seed"]) == (1, None)
    assert [seed["fate"] for seed in load(tmp_path, "ledger.json")["seeds"]] == ["pruned"]
    (life,) = lives_of(read_run(tmp_path).events)
    assert life.fate == "pruned"


class Reopened(Callback):
    """Trouble right after the seed was fossilized."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = growing(pl_module)
        if module.model.at(Stage.FOSSILIZED) and not the(trainer, Governor).done:
            module.task_loss = torch.tensor(math.nan)


def test_a_seed_that_was_kept_since_the_snapshot_is_open_again(tmp_path: Path) -> None:
    life = ("1 layers.0 germinate mlp", "1 layers.0 train", "2 layers.0 blend")
    written = timeline(*life, "4 layers.0 fossilize")
    reopens = ("ramp.ticks=1", "+callbacks.reopened._target_=test_governor.Reopened")
    run(tmp_path, *WRITTEN, *written, *reopens, *LOOKS)
    back = [e for e in events(tmp_path) if e["event"] == "rollback"][1]
    assert (back["from"], back["to"]) == ("fossilized", "blending")
    assert ("layers.0", "prune") in [move[1:] for move in moves(tmp_path)]
    assert [seed["fate"] for seed in load(tmp_path, "ledger.json")["seeds"]] == ["pruned"]
    (seed,) = lives_of(read_run(tmp_path).events)
    assert seed.fate == "pruned"


@pytest.mark.parametrize(("length", "expected"), [(4, 0), (5, 1)])
def test_a_spike_is_trouble_only_when_it_stays(tmp_path: Path, length: int, expected: int) -> None:
    spike = Spoil("loss", steps=list(range(25, 25 + length)), value=1e6)
    options = (*BARE, *LOOKS, "callbacks.governor.patience=5")
    assert governor(fit(tmp_path, *options, callbacks=(spike,))).done == expected
    assert [row["numbers"]["to_step"] for row in rollbacks(tmp_path)] == [24] * expected


def test_a_metric_that_falls_to_chance_is_put_back(tmp_path: Path) -> None:
    options = ("controller=none", "trainer.max_epochs=8", "optimizer.lr=0.02")
    objects = fit(tmp_path, *options, callbacks=(Collapse(4),))
    (row,) = rollbacks(tmp_path)
    assert row["reason"] == "the metric is at chance, 3 validations in a row"
    assert row["numbers"]["chance"] == 0.1
    batches = objects.trainer.num_training_batches
    assert row["numbers"]["to_step"] == 4 * batches  # the last validation before the collapse
    assert row["step"] == 7 * batches
    assert float(objects.trainer.callback_metrics["val/accuracy"]) > 0.5


@pytest.mark.parametrize("most", [0, 1, 2])
def test_after_so_many_rollbacks_the_run_ends_as_diverged(
    tmp_path: Path, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ("optimizer=sgd", "optimizer.lr=1e30", f"callbacks.governor.rollbacks={most}")
    with caplog.at_level(logging.WARNING, logger="kasmina"):
        run(tmp_path, *BARE, *broken)
    summary = load(tmp_path, "summary.json")
    assert (summary["status"], summary["test"]) == ("diverged", None)
    assert summary["epochs"] < 8
    assert len(rollbacks(tmp_path)) == most
    said = [r.getMessage() for r in caplog.records if r.name.endswith("governor")]
    assert len(said) == most + 1
    assert said[-1].endswith(
        f"after {most} of {most} rollbacks: the run has diverged and ends here"
    )


def test_a_sound_run_that_grows_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path, "experiment=digits_grow", *FAST, "trainer.max_epochs=12", "test=false")
    assert not [e for e in events(tmp_path) if e["by"] == "governor"]
    assert [e for e in events(tmp_path) if e["event"] == "blend"]
    assert load(tmp_path, "summary.json")["status"] == "finished"


def resumed(whole: Path, folder: Path, moment: str, *options: str) -> None:
    """Go on in a copy of the run from one of its checkpoints; its record is longer."""
    shutil.copytree(whole, folder)
    shutil.copy(whole / f"{moment}.ckpt", folder / "checkpoints" / "last.ckpt")
    run(folder, *options, "callbacks.last.every_n_steps=1", f"resume={folder}")


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_run_that_was_put_back_is_resumed_exactly(tmp_path: Path) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    spoils = ("+callbacks.spoil._target_=test_governor.Spoil", "+callbacks.spoil.what=grad")
    keeps = ("+callbacks.keep._target_=test_resume.Keep", "callbacks.last.every_n_steps=1")
    options = (*GROWS, *LOOKS, *spoils, "+callbacks.spoil.steps=[10]")
    run(whole, *options, *keeps, f"+callbacks.keep.folder={whole}")
    assert len(rollbacks(whole)) == 2  # the spoiled gradient, and the seed as it blends
    resumed(whole, again, "17", *options)
    files = [checkpoint(each / "checkpoints" / "last.ckpt") for each in (whole, again)]
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "topology"):
        assert same(files[0][key], files[1][key]), key
    assert same(*(file["callbacks"]["Governor"] for file in files))
    assert (whole / "events.jsonl").read_bytes() == (again / "events.jsonl").read_bytes()
    before = tmp_path / "before"
    resumed(whole, before, "9", *options)  # the trouble of this tick comes again
    steps = [row["step"] for row in rollbacks(before)]
    assert steps == [row["step"] for row in rollbacks(whole)]


class Watched(GrowthCallback):
    """What each rank of a run ends with."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        self.told.append(f"{trainer.global_step} {change.site} {change.event}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = growing(pl_module).model.state_dict()
        done, optimizer = the(trainer, Governor).done, trainer.optimizers[0].state_dict()
        ends = {"weights": weights, "done": done, "told": self.told, "optimizer": optimizer}
        torch.save(ends, f"rank{trainer.global_rank}.pt")


class BadLuck(Spoil):
    """``Spoil`` on rank 1 alone."""

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, at: int) -> None:
        if trainer.global_rank == 1:
            super().on_train_batch_start(trainer, module, batch, at)


@pytest.mark.slow
@pytest.mark.long
def test_a_bad_batch_on_one_rank_puts_all_ranks_back_together(tmp_path: Path) -> None:
    overrides = [
        *WRITTEN,
        *LOOKS,
        *timeline(
            *LIFE,
            *("4 layers.1 germinate mlp", "4 layers.1 train", "5 layers.1 blend"),
        ),
        *("trainer=ddp_sim", "data.batch_size=8", "ramp.ticks=1"),
        "+callbacks.bad={_target_: test_governor.BadLuck, what: batch, steps: [9, 26]}",
        "+callbacks.watched._target_=test_governor.Watched",
        *("callbacks.progress=null", "report=false"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "kasmina", *overrides]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(first, second)
    assert first["done"] == 3  # two bad batches, and the seed that explodes
    assert sum(told.endswith("* rollback") for told in first["told"]) == 3
    assert all(bool(weight.isfinite().all()) for weight in first["weights"].values())


@pytest.mark.parametrize("wrong", [{"look_every": 0}, {"rollbacks": -1}])
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="look_every is at least 1 step and rollbacks at least 0"):
        Governor(**wrong)
