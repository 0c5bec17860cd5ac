"""Alpha moves at ticks, and holds where it arrives."""

from pathlib import Path

import pytest
from runs import VECTORS, Diary, fit, moves, rows, timeline

from kasmina.ramp import Ramp

BORN = ("1 layers.0 germinate mlp", "1 layers.0 train", "2 layers.0 blend")
PLAIN = (*VECTORS, "controller.pace=null", "trainer.max_epochs=7")


def alphas(diary: Diary) -> list[float]:
    """Of the first slot, in each epoch; equal in all four batches of it."""
    first = [each[0] for each in diary.alphas]
    epochs = [set(first[at : at + 4]) for at in range(0, len(first), 4)]
    assert all(len(epoch) == 1 for epoch in epochs)
    return [epoch.pop() for epoch in epochs]


@pytest.mark.parametrize("curve", ["linear", "cosine", "sigmoid"])
def test_alpha_follows_its_ramp_tick_by_tick_and_rests_in_between(
    tmp_path: Path, curve: str
) -> None:
    diary = Diary()
    ramp = ("ramp.ticks=4", f"ramp={curve}")
    fit(tmp_path, *PLAIN, *timeline(*BORN), *ramp, callbacks=(diary,))
    path = [Ramp(curve, ticks=4, done=done).alpha for done in (1, 2, 3)]
    assert alphas(diary) == [0.0, 0.0, *path, 1.0, 1.0]


def test_a_seed_holds_on_arrival(tmp_path: Path) -> None:
    fit(tmp_path, *PLAIN, *timeline(*BORN), "ramp.ticks=3")
    assert moves(tmp_path)[-2:] == [(2, "layers.0", "blend"), (4, "layers.0", "hold")]
    stages = [row["stage"] for row in rows(tmp_path, "timeline.csv") if row["site"] == "layers.0"]
    assert stages == ["dormant", "training", "blending", "blending", *["holding"] * 3]


def test_a_blend_can_stop_half_way_and_go_back(tmp_path: Path) -> None:
    diary = Diary()
    again = (*BORN[:2], "2 layers.0 blend 0.5", "4 layers.0 blend 0.25")
    fit(tmp_path, *PLAIN, *timeline(*again), "ramp.ticks=2", "ramp=linear", callbacks=(diary,))
    assert alphas(diary) == [0, 0, 0.25, 0.5, 0.375, 0.25, 0.25]
    assert [event for _, _, event in moves(tmp_path)[2:]] == ["blend", "hold", "blend", "hold"]


def test_slots_grow_older_by_a_tick_at_every_tick(tmp_path: Path) -> None:
    run = fit(tmp_path, *PLAIN, *timeline(*BORN), "ramp.ticks=3")
    first, second = run.module.model
    assert (first.stage, first.age) == ("holding", 7 - 4)
    assert (second.stage, second.age) == ("dormant", 7)
