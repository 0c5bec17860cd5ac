"""When a tick is, and how many a run has."""

from pathlib import Path

import pytest
from runs import FAST, VECTORS, Diary, events, fit, made

from kasmina.callbacks.base import the
from kasmina.callbacks.ticker import Ticker

LENGTHS = [
    ["trainer.max_epochs=4"],
    ["trainer.max_epochs=null", "trainer.max_steps=10"],
]
RHYTHMS = [
    [],
    ["trainer.val_check_interval=0.5"],
    ["trainer.val_check_interval=3"],
    ["trainer.check_val_every_n_epoch=2"],
    ["trainer.check_val_every_n_epoch=2", "trainer.val_check_interval=2"],
    ["trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=6"],
    ["callbacks.ticker.every_n_steps=1"],
    ["callbacks.ticker.every_n_steps=3"],
]


@pytest.mark.parametrize("length", LENGTHS, ids=" ".join)
@pytest.mark.parametrize("rhythm", RHYTHMS, ids=" ".join)
@pytest.mark.parametrize("window", [1, 3])
def test_ticks_fall_between_steps_and_their_number_is_known_beforehand(
    tmp_path: Path, length: list[str], rhythm: list[str], window: int
) -> None:
    diary = Diary()
    accumulated = f"trainer.accumulate_grad_batches={window}"
    options = (*VECTORS, *length, *rhythm, accumulated, "controller=none")
    run = fit(tmp_path, *options, callbacks=(diary,))
    for _, batches in diary.ticks:
        assert batches % 4 % window == 0  # an epoch has 4 batches, its last window may be short
    last = diary.ticks[-1][0] if diary.ticks else 0
    assert the(run.trainer, Ticker).ticks(run.trainer) == last


def test_a_validation_decides_and_the_next_batch_begins_with_the_change(tmp_path: Path) -> None:
    diary = Diary()
    fit(tmp_path, *VECTORS, *FAST, "trainer.max_epochs=3", callbacks=(diary,))
    assert diary.ticks == [(1, 4), (2, 8)]
    born = events(tmp_path)[0]
    assert (born["tick"], born["epoch"], born["step"]) == (2, 2, 8)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_ticks_by_steps_come_every_so_many_steps(tmp_path: Path, every: int) -> None:
    diary = Diary()
    steps = f"callbacks.ticker.every_n_steps={every}"
    fit(tmp_path, *VECTORS, steps, "controller=none", "trainer.max_epochs=3", callbacks=(diary,))
    assert diary.ticks == [(n, n * every) for n in range(1, 12 // every + 1) if n * every < 12]


def test_a_run_without_an_end_has_no_last_tick(tmp_path: Path) -> None:
    endless = ("trainer.max_epochs=-1", "+trainer.max_time=00:00:00:00", "scheduler=constant")
    run = fit(tmp_path, *VECTORS, *endless)
    assert the(run.trainer, Ticker).ticks(run.trainer) is None


def test_a_sanity_check_before_training_is_no_tick(tmp_path: Path) -> None:
    run = made(tmp_path, *VECTORS, "trainer.max_epochs=1", "trainer.num_sanity_val_steps=2")
    run.trainer.fit(run.module, run.data)
    assert the(run.trainer, Ticker).tick == 1


def test_a_tick_of_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="a tick takes at least 1 step, not 0"):
        Ticker(every_n_steps=0)
