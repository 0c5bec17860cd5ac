"""What loggers get beside Lightning's metrics."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from tests.runs import FAST, VECTORS, fit, load, rows, run

STEPS = "trainer.log_every_n_steps=1"


def logged(folder: Path) -> list[dict[str, str]]:
    return rows(folder / "csv")


def test_every_validation_logs_the_slots_and_the_bill(tmp_path: Path) -> None:
    target = "{_target_: lightning.pytorch.loggers.CSVLogger, save_dir: ${paths.run_dir}, "
    one = f"+logger.one={target}name: csv, version: ''}}"
    objects = fit(tmp_path, *VECTORS, *FAST, one, "trainer.max_epochs=6", STEPS)
    (logger,) = objects.trainer.loggers
    assert isinstance(logger, CSVLogger)
    lines = [row for row in logged(tmp_path) if row["slot/layers.0/alpha"]]
    timeline = [row for row in rows(tmp_path, "timeline.csv") if row["site"] == "layers.0"]
    assert [float(r["slot/layers.0/alpha"]) for r in lines] == [float(r["alpha"]) for r in timeline]
    flops = [float(row["train_flops"]) for row in rows(tmp_path)]
    assert [float(row["train_flops"]) for row in lines] == pytest.approx(flops, rel=1e-6)


def contents(folder: Path) -> Any:
    """The run file of W&B, read by its own command in another process."""
    (path,) = folder.rglob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_wandb_offline_holds_metrics_slots_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = (
        "logger=wandb",
        "logger.wandb.offline=true",
        "report=true",
        "trainer.max_epochs=6",
        STEPS,
    )
    run(tmp_path, *VECTORS, *FAST, *options)
    text = json.dumps(contents(tmp_path))
    for name in ("val/accuracy", "slot/layers.0/alpha", "train_flops", "report/decisions"):
        assert name in text
    assert list(tmp_path.rglob("media/images/report/*.png"))
    assert load(tmp_path, "summary.json")["status"] == "finished"
