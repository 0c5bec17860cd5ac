"""``kasmina ablate`` from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import VECTORS

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
FEW = (*VECTORS, "trainer.max_epochs=6", "pace.incubate=1", "pace.tail=2", "threads=1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(GROWTH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def table(folder: Path) -> list[tuple[int, str, float]]:
    return sorted((job.number, job.state, job.value) for job in jobs.read(folder).values())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kasmina", "ablate", "mine", *arguments, "--no-estimate"]


def test_one_killed_half_way_and_resumed_has_the_table_of_one_that_was_not(here):
    every = [*FEW, "seed=1"]
    assert main(["ablate", "mine", *every, "--no-estimate", "hydra.sweep.dir=whole"]) == 0
    (here / "cut").mkdir()
    parent = subprocess.Popen(
        command(*every, "hydra.sweep.dir=cut"), stdout=subprocess.DEVNULL, start_new_session=True
    )
    while len(jobs.read(here / "cut")) < 1:
        assert parent.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    assert len(jobs.read(here / "cut")) == 1
    again = [*every, "hydra.sweep.dir=cut", "resume=auto"]
    assert main(["ablate", "mine", *again, "--no-estimate"]) == 0
    assert table(here / "cut") == table(here / "whole")
    plans = [json.loads((here / name / "ablation.json").read_text()) for name in ("cut", "whole")]
    assert plans[0] == plans[1]
    for name in ("cut", "whole"):
        assert (here / name / "report.html").is_file()
    found = [json.loads(p.read_text()) for p in sorted((here / "cut").glob("*/summary.json"))]
    grown, large = found  # whose job has got the folder of the first
    assert large["fossils"] == grown["fossils"]
    assert large["flops"] <= grown["flops"]


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
