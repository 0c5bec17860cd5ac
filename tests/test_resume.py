"""A run that is interrupted and resumed is the run that was not."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from runs import IMAGES, TOKENS, VECTORS, checkpoint, events, load, moves, rows, run, same

EPOCHS = 12
LIVES = (
    f"trainer.max_epochs={EPOCHS}",
    "test=false",
    "pace.incubate=1",
    "pace.hold=1",
    "pace.tail=0",
    "ramp.ticks=3",
    "callbacks.pruning.cooldown=1",
    "scheduler.warmup_steps=3",
)
SHADOW = (*LIVES, "incubation.interval=1")  # seeds learn enough to have every fate
SETTINGS = {
    "perceptron": (*VECTORS, *SHADOW),
    "all at once": (
        *TOKENS,
        *SHADOW,
        "host.dropout=0.2",
        "growth.seed_lr=0.01",
        "growth.seed_weight_decay=0.1",
        "controller.max_live=2",
        "trainer.accumulate_grad_batches=3",
        "trainer.gradient_clip_val=0.1",
        "data.train_size=80",
        "incubation.interval=2",
    ),
    "prune for harm": (
        *VECTORS,
        *SHADOW,
        "callbacks.pruning.max_harm=0.0",
        "task.monitor=loss",
        "task.mode=min",
    ),
    "ticks by steps": (*VECTORS, *SHADOW, "callbacks.ticker.every_n_steps=3"),
    "plateau": (*VECTORS, *SHADOW, "timing=plateau", "timing.patience=1", "controller=random"),
    "straight through": (*IMAGES, *LIVES, "incubation=ste_ridge", "blend=gate"),
    "two validations an epoch": (*VECTORS, *SHADOW, "trainer.val_check_interval=0.5"),
    "a validation every other epoch": (*VECTORS, *SHADOW, "trainer.check_val_every_n_epoch=2"),
}
SAVED = (
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "topology",
    "param_groups",
    "measured",
    "ranks",
)
SLURM = {"JOB_ID": "7", "JOB_NAME": "kasmina", "NTASKS": "1", "NTASKS_PER_NODE": "1"}
KEEPS = ("callbacks.last.every_n_steps=1", "+callbacks.draws._target_=test_resume.Draws")

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Draws(Callback):
    """Draws random numbers wherever a user's own callback might."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self._draw()

    def on_train_batch_end(self, *_: Any) -> None:
        self._draw()

    def on_validation_batch_start(self, *_: Any) -> None:
        self._draw()

    def _draw(self) -> None:
        numbers = (torch.rand(()).item(), random.random(), float(np.random.rand()))
        self.drawn = [*self.drawn[-8:], *numbers]

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.drawn = state_dict["drawn"]


class Keep(Callback):
    """Keeps what the folder offers to a resume at every moment, as ``<number>.ckpt``, and at the
    end of each epoch, as ``epoch<number>.ckpt``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.last = self.folder / "checkpoints" / "last.ckpt"
        self.written: list[int] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self._keep()

    def on_validation_start(self, *_: Any) -> None:
        self._keep()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep()
        if self.last.is_file():
            shutil.copy(self.last, self.folder / f"epoch{trainer.current_epoch}.ckpt")

    def _keep(self) -> None:
        written = self.last.stat().st_mtime_ns if self.last.is_file() else 0
        if written and written not in self.written:
            shutil.copy(self.last, self.folder / f"{len(self.written)}.ckpt")
            self.written.append(written)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a setting once without interruption, with the checkpoint of every moment."""
    done: dict[str, Path] = {}

    def once(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("whole")
            keep = ("+callbacks.keep._target_=test_resume.Keep", f"+callbacks.keep.folder={folder}")
            done[name] = run(folder, *SETTINGS[name], *KEEPS, *keep)
        return done[name]

    return once


def interrupted(whole: Path, folder: Path, name: str) -> Path:
    """What is left of a run that had saved ``<name>.ckpt``; its record is longer."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    shutil.copy(whole / f"{name}.ckpt", folder / "checkpoints" / "last.ckpt")
    return folder


def assert_same_run(left: Path, right: Path) -> None:
    """Equal bit for bit in all but the time it took."""
    for file in ("best.ckpt", "last.ckpt"):
        final = [checkpoint(folder / "checkpoints" / file) for folder in (left, right)]
        for key in SAVED:
            assert same(final[0][key], final[1][key]), (file, key)
    for name in ("Ticker", "Lifecycle", "RunRecord", "Draws"):
        assert same(final[0]["callbacks"][name], final[1]["callbacks"][name]), name
    assert (left / "events.jsonl").read_bytes() == (right / "events.jsonl").read_bytes()
    assert timeless(left) == timeless(right)
    assert (left / "timeline.csv").read_bytes() == (right / "timeline.csv").read_bytes()
    seconds = {"wall_s": 0, "rewraps": 0}
    bills = [{**load(folder, "ledger.json"), **seconds} for folder in (left, right)]
    assert bills[0] == bills[1]
    sums = [{**load(folder, "summary.json"), "wall_s": 0} for folder in (left, right)]
    assert sums[0] == sums[1]


def timeless(folder: Path) -> list[dict[str, str]]:
    return [{**row, "wall_s": ""} for row in rows(folder)]


@pytest.mark.parametrize("moment", ["epoch7", "13"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, whole: Any, name: str, moment: str
) -> None:
    folder = interrupted(whole(name), tmp_path, moment)
    run(folder, *SETTINGS[name], *KEEPS, f"resume={folder}")
    assert_same_run(folder, whole(name))


@pytest.mark.parametrize("moment", range(0, 4 * EPOCHS - 1, 5))
def test_it_does_not_matter_after_which_batch(tmp_path: Path, whole: Any, moment: int) -> None:
    folder = interrupted(whole("perceptron"), tmp_path, str(moment))
    run(folder, *SETTINGS["perceptron"], *KEEPS, f"resume={folder}")
    assert_same_run(folder, whole("perceptron"))


def test_the_moments_tried_are_every_batch_of_an_epoch_and_its_end(whole: Any) -> None:
    def given(path: Path) -> tuple[int, bool]:
        loop = checkpoint(path)["loops"]["fit_loop"]
        progress = loop["epoch_loop.batch_progress"]
        return loop["state_dict"]["combined_loader"][0]["batches"], progress["is_last_batch"]

    paths = [whole("perceptron") / f"{moment}.ckpt" for moment in range(0, 4 * EPOCHS - 1, 5)]
    assert {given(path) for path in paths} == {(1, False), (2, False), (3, False), (4, True)}
    accumulated = [p for p in whole("all at once").glob("*.ckpt") if p.stem.isdecimal()]
    assert {given(path) for path in accumulated} == {(3, False), (5, True)}


def test_the_epochs_tried_see_every_kind_of_moment(whole: Any) -> None:
    told = {event for name in SETTINGS for _, _, event in moves(whole(name))}
    assert told == {
        "germinate",
        "train",
        "blend",
        "hold",
        "fossilize",
        "prune",
        "embargo",
        "release",
    }
    pending, stages = set(), set()
    for path in whole("perceptron").glob("epoch*.ckpt"):
        saved = checkpoint(path)
        pending.add(bool(saved["callbacks"]["Lifecycle"]["pending"]))
        stages |= {slot["stage"] for slot in saved["topology"]["slots"].values()}
    assert pending == {True, False}
    assert stages >= {"dormant", "training", "blending", "holding", "fossilized"}


def test_a_fresh_process_goes_on_where_this_one_stopped(tmp_path: Path, whole: Any) -> None:
    folder = interrupted(whole("all at once"), tmp_path, "9")
    program = "import sys, runs, pathlib\nruns.run(pathlib.Path(sys.argv[1]), *sys.argv[2:])"
    options = [*SETTINGS["all at once"], *KEEPS, f"resume={folder}"]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(folder), *options],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
    )
    assert_same_run(folder, whole("all at once"))


class Stop(Callback):
    """Sends this process a signal in a batch, or raises what a broken program does."""

    def __init__(
        self, *, epoch: int, batch: int, hook: str = "train", by: int | None = None
    ) -> None:
        self.place, self.hook, self.by = (epoch, batch), hook, by

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *at: Any) -> None:
        self._stop(trainer, "train", at[1])

    def on_validation_batch_start(
        self, trainer: Trainer, module: LightningModule, *at: Any
    ) -> None:
        self._stop(trainer, "validate", at[1])

    def _stop(self, trainer: Trainer, hook: str, batch: int) -> None:
        if (hook, trainer.current_epoch, batch) == (self.hook, *self.place):
            if self.by is None:
                raise KeyboardInterrupt
            os.kill(os.getpid(), self.by)


def stop(folder: Path, *options: str, **where: Any) -> dict[str, Any]:
    """Train until the stop; what the folder then offers."""
    told = [
        f"+callbacks.stop.{key}={int(value) if key == 'by' else value}"
        for key, value in where.items()
    ]
    with pytest.raises(KeyboardInterrupt):
        run(folder, *options, "+callbacks.stop._target_=test_resume.Stop", *told)
    assert load(folder, "summary.json")["status"] == "interrupted"
    return checkpoint(folder / "checkpoints" / "last.ckpt")


def test_a_run_that_breaks_off_goes_on_from_its_last_checkpoint(tmp_path: Path, whole: Any) -> None:
    options = (*SETTINGS["perceptron"], KEEPS[1])
    saved = stop(tmp_path, *options, epoch=4, batch=2)
    assert saved["global_step"] == 16
    run(tmp_path, *options, f"resume={tmp_path}")
    assert_same_run(tmp_path, whole("perceptron"))


@pytest.mark.parametrize(
    ("name", "where", "step"),
    [
        ("perceptron", {"epoch": 4, "batch": 1, "by": signal.SIGINT}, 18),
        ("perceptron", {"epoch": 4, "batch": 3}, 20),
        ("perceptron", {"epoch": 4, "batch": 1, "hook": "validate"}, 20),
        ("perceptron", {"epoch": 11, "batch": 0, "hook": "validate"}, 48),
        ("all at once", {"epoch": 4, "batch": 0}, 9),
        ("a validation every other epoch", {"epoch": 4, "batch": 3}, 20),
    ],
)
def test_a_signal_is_answered_with_a_checkpoint_of_where_the_run_stopped(
    tmp_path: Path, whole: Any, name: str, where: dict[str, Any], step: int
) -> None:
    options = (*SETTINGS[name], KEEPS[1])
    saved = stop(tmp_path, *options, **{"by": signal.SIGTERM, **where})
    assert saved["global_step"] == step
    assert len(rows(tmp_path)) == saved["callbacks"]["RunRecord"]["validations"]
    run(tmp_path, *options, f"resume={tmp_path}")
    assert_same_run(tmp_path, whole(name))


def test_a_run_that_is_stopped_twice_in_a_validation_validates_once(
    tmp_path: Path, whole: Any
) -> None:
    options = (*SETTINGS["perceptron"], KEEPS[1])
    by = signal.SIGTERM
    stop(tmp_path, *options, epoch=4, batch=0, hook="validate", by=by)
    stop(tmp_path, *options, f"resume={tmp_path}", epoch=4, batch=1, hook="validate", by=by)
    stop(tmp_path, *options, f"resume={tmp_path}", epoch=5, batch=0, by=by)
    run(tmp_path, *options, f"resume={tmp_path}")
    assert_same_run(tmp_path, whole("perceptron"))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    tmp_path: Path, whole: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = interrupted(whole("perceptron"), tmp_path, "21")
    shutil.copy(whole("perceptron") / "20.ckpt", folder / "checkpoints" / "last-1.ckpt")
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-100])
    run(folder, *SETTINGS["perceptron"], *KEEPS, f"resume={folder}")
    assert [r.levelname for r in caplog.records if "last.ckpt is damaged" in r.message] == [
        "WARNING"
    ]
    assert_same_run(folder, whole("perceptron"))


def test_a_checkpoint_of_the_first_format_goes_on_exactly(tmp_path: Path, whole: Any) -> None:
    options = (*SETTINGS["two validations an epoch"], KEEPS[1])
    folder = interrupted(whole("two validations an epoch"), tmp_path, "21")
    path = folder / "checkpoints" / "last.ckpt"
    saved = checkpoint(path)
    for key in ("kasmina", "ranks", "hyper_parameters", "hparams_name"):
        del saved[key]
    del saved["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    del saved["callbacks"]["RunRecord"]["validations"]
    torch.save(saved, path)
    assert saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 2
    run(folder, *options, f"resume={folder}")
    assert_same_run(folder, whole("two validations an epoch"))


def test_other_batches_go_on_where_the_samples_ended_and_say_that_bits_will_differ(
    tmp_path: Path, whole: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = interrupted(whole("perceptron"), tmp_path, "17")
    assert checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 18
    options = (*SETTINGS["perceptron"], *KEEPS, "data.batch_size=8")
    run(folder, *options, f"resume={folder}")
    assert "16 samples a step and is resumed with 8: it goes on, but no longer bit" in caplog.text
    assert load(folder, "summary.json")["steps"] == 18 + 4 + 7 * 8
    assert [int(row["tick"]) for row in rows(folder)] == list(range(1, EPOCHS + 1))


def test_a_requeue_of_slurm_waits_for_the_end_of_a_step_and_saves_first(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, last = whole("all at once"), tmp_path / "run" / "checkpoints" / "last.ckpt"
    queue = tmp_path / "bin" / "scontrol"
    queue.parent.mkdir()
    queue.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {last} {tmp_path}/then.ckpt\n')
    queue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{queue.parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.chdir(tmp_path)
    where = ("epoch=4", "batch=0", f"by={int(signal.SIGUSR1)}", "_target_=test_resume.Stop")
    options = (*SETTINGS["all at once"], KEEPS[1])
    folder = run(tmp_path / "run", *options, *(f"+callbacks.stop.{text}" for text in where))
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert checkpoint(tmp_path / "then.ckpt")["global_step"] == 9  # the window of accumulation
    assert (folder / "hpc_ckpt_1.ckpt").is_file()  # not where another run would find it
    assert_same_run(folder, expected)


RANKS = """
import os, signal, torch
from lightning import Callback

class Witness(Callback):
    def __init__(self, stop):
        self.stop = stop
    def on_train_batch_start(self, trainer, module, batch, index):
        place = (trainer.current_epoch, index, trainer.global_rank)
        if self.stop and place == (2, 1, 1):  # the second rank alone
            os.kill(os.getpid(), signal.SIGTERM)
    def on_fit_end(self, trainer, module):
        content = (module.model.state_dict(), torch.get_rng_state())
        torch.save(content, f"rank{trainer.global_rank}.pt")
"""


SHORT = (
    *(text for text in VECTORS if "batch_size" not in text),
    *LIVES[1:],
    *("trainer.max_epochs=5", "timing.every=2", "trainer.accumulate_grad_batches=2"),
)


def on_two_ranks(place: Path, *options: str, code: int = 0) -> None:
    """Train in two processes, in the folder ``place / "run"``."""
    place.mkdir(exist_ok=True)
    (place / "witness.py").write_text(RANKS)
    two = ["trainer=ddp_sim", "data.batch_size=8", "+callbacks.witness._target_=witness.Witness"]
    quiet = ["callbacks.progress=null", "report=false", "hydra.run.dir=run"]
    command = [sys.executable, "-m", "kasmina", *SHORT, *two, *quiet, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.long
def test_two_ranks_of_which_one_is_told_to_stop_go_on_exactly_and_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken, fewer = tmp_path / "whole", tmp_path / "broken", tmp_path / "fewer"
    on_two_ranks(whole, "+callbacks.witness.stop=false")
    on_two_ranks(broken, "+callbacks.witness.stop=true", code=130)
    saved = checkpoint(broken / "run" / "checkpoints" / "last.ckpt")
    assert (saved["global_step"], saved["kasmina"]["world_size"]) == (5, 2)
    shutil.copytree(broken / "run", fewer)
    run(fewer, *SHORT, "data.batch_size=16", f"resume={fewer}")
    assert "2 ranks and is resumed on 1: it goes on, but no longer bit for bit" in caplog.text
    assert len(rows(fewer)) == 5
    on_two_ranks(broken, "callbacks.witness.stop=false", "resume=run")
    for rank in range(2):
        final = [torch.load(p / f"rank{rank}.pt", weights_only=True) for p in (whole, broken)]
        assert same(*final), rank
    assert {"germinate", "blend"} <= {event for _, _, event in moves(whole / "run")}
    left, right = whole / "run", broken / "run"
    assert (left / "events.jsonl").read_bytes() == (right / "events.jsonl").read_bytes()
    assert timeless(left) == timeless(right)


def test_a_finished_run_can_be_made_longer(tmp_path: Path, whole: Any) -> None:
    folder = shutil.copytree(whole("perceptron"), tmp_path, dirs_exist_ok=True)
    run(folder, *SETTINGS["perceptron"], *KEEPS, f"resume={folder}", "trainer.max_epochs=14")
    assert [int(row["tick"]) for row in rows(folder)] == list(range(1, 15))
    longer = len(events(whole("perceptron")))
    assert events(folder)[:longer] == events(whole("perceptron"))
