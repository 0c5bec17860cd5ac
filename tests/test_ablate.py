"""``kasmina ablate`` from the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from runs import VECTORS, run

from kasmina import jobs
from kasmina.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX"),
]

GROWTH = """
# @package _global_
defaults:
  - override /hydra/sweeper: arms
name: mine
hydra:
  sweeper:
    question: Does it grow?
    baseline: grown
    axes:
      growth:
        large: [baseline=static_large, "baseline.run={grown}"]
        grown: controller=biggest
"""
FEW = (
    *(*VECTORS, "threads=1", "trainer.max_epochs=9", "ramp.ticks=1"),
    *("pace=keep_all", "pace.incubate=1", "pace.hold=1", "pace.tail=4"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(GROWTH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kasmina", "ablate", "mine", *arguments, "--no-estimate"]


def test_one_killed_half_way_and_resumed_has_the_runs_of_one_that_was_not(here):
    every = [*FEW, "seed=1", "hydra.sweep.dir=cut"]
    parent = subprocess.Popen(
        command(*every), stdout=subprocess.DEVNULL, start_new_session=True, cwd=here
    )
    while len(jobs.read(here / "cut")) < 1:
        assert parent.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    assert len(jobs.read(here / "cut")) == 1
    assert main(["ablate", "mine", *every, "resume=auto", "--no-estimate"]) == 0
    assert (here / "cut" / "report.html").is_file()
    grown, large = (path.parent for path in sorted((here / "cut").glob("*/summary.json")))
    assert result(grown) == result(run(here / "grown", *FEW, "controller=biggest"))
    static = ("baseline=static_large", f"baseline.run='{grown}'")
    assert result(large) == result(run(here / "large", *FEW, *static))
    assert result(large)["fossils"] == result(grown)["fossils"] == {"layers.0": "mlp"}
    assert 0.9 * result(grown)["flops"] < result(large)["flops"] <= result(grown)["flops"]
    before = result(large)
    shutil.rmtree(large)  # whoever takes a run away wants it anew
    assert main(["ablate", "mine", *every, "resume=auto", "--no-estimate"]) == 0
    assert result(large) == before


def result(folder: Path) -> dict[str, Any]:
    """A run's summary, without the clock and its name."""
    summary = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in {"wall_s", "name"}}


def test_a_plan_runs_nothing_and_tells_how_long_it_would_take(here, capsys):
    assert main(["ablate", "mine", *FEW, "--plan"]) == 0
    said = capsys.readouterr().out
    assert "Does it grow?" in said
    assert "10 jobs, with seeds 1, 2, 3, 4, 5" in said
    assert "about " in said
    assert not (here / "multirun").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nine"], "unknown ablation 'nine'; did you mean 'mine'?"),
        (["mine", "trainer.max_epoch=1"], "did you mean 'trainer.max_epochs'?"),
        (["mine", "hydra/sweeper=search"], "another sweeper"),
        (["mine", "blend=add,gat", "--plan"], "did you mean 'gate'?"),
        (["mine", "resume=multirun/mine/1", "--plan"], "goes on by resume=auto"),
    ],
)
def test_a_mistake_is_one_line(here, capsys, arguments, said):
    assert main(["ablate", *arguments, "--no-estimate"]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "multirun").exists()
