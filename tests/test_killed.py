"""A run that is killed again and again ends as the one that was not."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from runs import VECTORS, checkpoint, events, rows, run

from kasmina import checkpoints

KILLS = 50
LIFE = (
    *VECTORS,
    "trainer.max_epochs=90",
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
        begun = (folder / "checkpoints").is_dir()
        run(folder, *LIFE, *([f"resume={folder}"] if begun else []))
        os._exit(0)
    return child


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to save their start")
def test_fifty_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    moments, killed, saved = random.Random(0), tmp_path / "killed", 0
    for _ in range(KILLS):
        child = start(killed)
        time.sleep(moments.uniform(0.1, 0.9))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the run ended before it was killed fifty times"
        if (killed / "checkpoints" / "last.ckpt").is_file():
            step = checkpoints.read(checkpoints.to_go_on_from(killed))["global_step"]
            assert step >= saved
            saved = step
    assert saved > 0
    run(killed, *LIFE, f"resume={killed}")
    whole = run(tmp_path / "whole", *LIFE)
    for name in ("metrics.csv", "timeline.csv"):
        assert untimed(killed, name) == untimed(whole, name)
    assert events(killed) == events(whole)
    last = [checkpoint(folder / "checkpoints" / "last.ckpt") for folder in (killed, whole)]
    assert list(last[0]["state_dict"]) == list(last[1]["state_dict"])
    for name, tensor in last[0]["state_dict"].items():
        assert torch.equal(tensor, last[1]["state_dict"][name]), name


def untimed(folder: Path, name: str) -> list[dict[str, str]]:
    """A table without what a clock says."""
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows(folder, name)]
