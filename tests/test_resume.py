"""A run that is interrupted and resumed is the run that was not."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
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
SETTINGS = {
    "perceptron": (*VECTORS, *LIVES),
    "all at once": (
        *TOKENS,
        *LIVES,
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
        *LIVES,
        "callbacks.pruning.max_harm=0.0",
        "task.monitor=loss",
        "task.mode=min",
    ),
    "ticks by steps": (*VECTORS, *LIVES, "callbacks.ticker.every_n_steps=3"),
    "plateau": (*VECTORS, *LIVES, "timing=plateau", "timing.patience=1", "controller=random"),
    "straight through": (*IMAGES, *LIVES, "incubation=ste_ridge", "blend=gate"),
    "two validations an epoch": (*VECTORS, *LIVES, "trainer.val_check_interval=0.5"),
    "a validation every other epoch": (*VECTORS, *LIVES, "trainer.check_val_every_n_epoch=2"),
}
SAVED = ("state_dict", "optimizer_states", "lr_schedulers", "topology", "param_groups", "measured")

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Keep(Callback):
    """Keeps what the folder offers to a resume at the end of each epoch, as ``<epochs>.ckpt``."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        last = self.folder / "checkpoints" / "last.ckpt"
        if last.is_file():
            shutil.copy(last, self.folder / f"{trainer.current_epoch}.ckpt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a setting once without interruption, with the checkpoint of every epoch."""
    done: dict[str, Path] = {}

    def once(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("whole")
            keep = ("+callbacks.keep._target_=test_resume.Keep", f"+callbacks.keep.folder={folder}")
            done[name] = run(folder, *SETTINGS[name], *keep)
        return done[name]

    return once


def interrupted(whole: Path, folder: Path, epochs: int) -> Path:
    """What is left of a run that had saved ``epochs`` epochs; its record is longer."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    if epochs < EPOCHS:
        shutil.copy(whole / f"{epochs}.ckpt", folder / "checkpoints" / "last.ckpt")
    return folder


def assert_same_run(left: Path, right: Path) -> None:
    """Equal bit for bit in all but the time it took."""
    for file in ("best.ckpt", "last.ckpt"):
        final = [checkpoint(folder / "checkpoints" / file) for folder in (left, right)]
        for key in SAVED:
            assert same(final[0][key], final[1][key]), (file, key)
    for name in ("Ticker", "Lifecycle", "RunRecord"):
        assert same(final[0]["callbacks"][name], final[1]["callbacks"][name]), name
    assert (left / "events.jsonl").read_bytes() == (right / "events.jsonl").read_bytes()
    assert timeless(left) == timeless(right)
    assert (left / "timeline.csv").read_bytes() == (right / "timeline.csv").read_bytes()
    bills = [{**load(folder, "ledger.json"), "wall_s": 0} for folder in (left, right)]
    assert bills[0] == bills[1]
    sums = [{**load(folder, "summary.json"), "wall_s": 0} for folder in (left, right)]
    assert sums[0] == sums[1]


def timeless(folder: Path) -> list[dict[str, str]]:
    return [{**row, "wall_s": ""} for row in rows(folder)]


@pytest.mark.parametrize("epochs", [4, 7])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, whole: Any, name: str, epochs: int
) -> None:
    folder = interrupted(whole(name), tmp_path, epochs)
    run(folder, *SETTINGS[name], f"resume={folder}")
    assert_same_run(folder, whole(name))


@pytest.mark.parametrize("epochs", range(1, EPOCHS + 1))
def test_it_does_not_matter_after_which_epoch(tmp_path: Path, whole: Any, epochs: int) -> None:
    folder = interrupted(whole("perceptron"), tmp_path, epochs)
    run(folder, *SETTINGS["perceptron"], f"resume={folder}")
    assert_same_run(folder, whole("perceptron"))


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
    for path in whole("perceptron").glob("*.ckpt"):
        saved = checkpoint(path)
        pending.add(bool(saved["callbacks"]["Lifecycle"]["pending"]))
        stages |= {slot["stage"] for slot in saved["topology"]["slots"].values()}
    assert pending == {True, False}
    assert stages >= {"dormant", "training", "blending", "holding", "fossilized"}


def test_a_fresh_process_goes_on_where_this_one_stopped(tmp_path: Path, whole: Any) -> None:
    folder = interrupted(whole("all at once"), tmp_path, 5)
    program = "import sys, runs, pathlib\nruns.run(pathlib.Path(sys.argv[1]), *sys.argv[2:])"
    options = [*SETTINGS["all at once"], f"resume={folder}"]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(folder), *options],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
    )
    assert_same_run(folder, whole("all at once"))


class Stop(Callback):
    """Ctrl-C in the middle of an epoch."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == (4, 1):
            raise KeyboardInterrupt


def test_a_run_that_is_stopped_by_hand_goes_on(tmp_path: Path, whole: Any) -> None:
    options = SETTINGS["perceptron"]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *options, "+callbacks.stop._target_=test_resume.Stop")
    assert load(tmp_path, "summary.json")["status"] == "interrupted"
    run(tmp_path, *options, f"resume={tmp_path}")
    assert_same_run(tmp_path, whole("perceptron"))


def test_a_finished_run_can_be_made_longer(tmp_path: Path, whole: Any) -> None:
    folder = interrupted(whole("perceptron"), tmp_path, EPOCHS)
    run(folder, *SETTINGS["perceptron"], f"resume={folder}", "trainer.max_epochs=14")
    assert [int(row["tick"]) for row in rows(folder)] == list(range(1, 15))
    longer = len(events(whole("perceptron")))
    assert events(folder)[:longer] == events(whole("perceptron"))
