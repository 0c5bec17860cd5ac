"""A run that is killed again and again ends as the one that was not."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from runs import VECTORS, checkpoint, events, rows, run

from kasmina import checkpoints

LIFE = (
    *VECTORS,
    "trainer.max_epochs=60",
    "pace.incubate=1",
    "pace.hold=1",
    "ramp.ticks=3",
    "callbacks.pruning.cooldown=1",
    "callbacks.last.every_n_steps=1",
    "test=false",
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


def start(folder: Path) -> int:
    """Train in a process of its own, which has torch and Lightning already; its number."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        go_on(folder)
        os._exit(0)
    return child


def go_on(folder: Path) -> None:
    """Train from the last checkpoint, or from the start where there is none yet."""
    begun = any((folder / "checkpoints").glob("last*.ckpt"))
    run(folder, *LIFE, *([f"resume={folder}"] if begun else []))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to save their start")
@pytest.mark.parametrize("most", [6, pytest.param(50, marks=pytest.mark.long)])
def test_kills_at_random_moments_lose_nothing(most: int, tmp_path: Path) -> None:
    whole, killed = run(tmp_path / "whole", *LIFE), tmp_path / "killed"
    moments, kills, saved = random.Random(0), 0, 0
    while kills < most:
        child = start(killed)
        time.sleep(moments.uniform(0.1, 0.9))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):  # a fast machine came to the end: once more, from the start
            assert status == 0
            assert_same(killed, whole)
            shutil.rmtree(killed)
            saved = 0
            continue
        kills += 1
        if (killed / "checkpoints" / "last.ckpt").is_file():
            step = checkpoints.read(checkpoints.to_go_on_from(killed))["global_step"]
            assert step >= saved
            saved = step
    go_on(killed)
    assert_same(killed, whole)


def assert_same(one: Path, other: Path) -> None:
    """The same tables, decisions and bits."""
    for name in ("metrics.csv", "timeline.csv"):
        assert untimed(one, name) == untimed(other, name)
    assert events(one) == events(other)
    last = [checkpoint(folder / "checkpoints" / "last.ckpt") for folder in (one, other)]
    assert list(last[0]["state_dict"]) == list(last[1]["state_dict"])
    for name, tensor in last[0]["state_dict"].items():
        assert torch.equal(tensor, last[1]["state_dict"][name]), name


def untimed(folder: Path, name: str) -> list[dict[str, str]]:
    """A table without what a clock says."""
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows(folder, name)]
