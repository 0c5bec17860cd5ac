"""One run from its config to its summary."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from omegaconf import open_dict
from runs import FAST, IMAGES, TOKENS, VECTORS, checkpoint, config, events, load, moves, rows, run
from torch import Tensor, nn

from kasmina.evaluate import evaluate
from kasmina.train import train

SUMMARY = {
    "name",
    "status",
    "seed",
    "monitor",
    "mode",
    "best",
    "final",
    "test",
    "parameters",
    "seeds",
    "epochs",
    "steps",
    "wall_s",
    "flops",
    "controller",
    "checkpoints",
}
FILES = {
    "config.yaml",
    "environment.json",
    "metrics.csv",
    "timeline.csv",
    "events.jsonl",
    "ledger.json",
    "summary.json",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "checkpoints/last-1.ckpt",
}
GROWS = (*FAST, "pace.keep_minimum=null", "trainer.max_epochs=7")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_folder_and_returns_its_best(tmp_path: Path) -> None:
    best = train(config(tmp_path, *VECTORS, *GROWS))
    assert files(tmp_path) == FILES
    summary, table = load(tmp_path, "summary.json"), rows(tmp_path)
    assert set(summary) >= SUMMARY
    accuracies = [float(row["val/accuracy"]) for row in table]
    assert summary["best"]["value"] == best == max(accuracies)
    assert summary["best"]["epoch"] == accuracies.index(best)
    assert summary["best"]["tick"] == accuracies.index(best) + 1
    assert summary["final"] == {
        name: float(table[-1][name]) for name in ("val/loss", "val/accuracy")
    }
    assert summary["status"] == "finished"
    assert (summary["monitor"], summary["mode"]) == ("val/accuracy", "max")
    assert summary["controller"] == "heuristic"
    assert (summary["epochs"], summary["steps"]) == (7, 28)
    assert summary["flops"] == load(tmp_path, "ledger.json")["flops"]["total"]
    assert summary["seeds"] == {"kept": 1, "pruned": 0, "unfinished": 1}
    size = summary["parameters"]
    assert size["host"] + size["grown"] == size["total"] == int(table[-1]["parameters"])
    assert set(summary["test"]) == {"test/loss", "test/accuracy"}
    for path in summary["checkpoints"].values():
        assert (tmp_path / path).is_file()


def test_what_a_run_ran_on_is_written_down(tmp_path: Path) -> None:
    run(tmp_path, *VECTORS, "trainer.max_epochs=1", "seed=7")
    facts = load(tmp_path, "environment.json")
    assert facts["seed"] == 7
    assert facts["torch"] == torch.__version__
    assert {"kasmina", "lightning", "hydra", "python", "platform", "cpus", "device"} <= set(facts)
    assert {"git_commit", "git_dirty", "command", "overrides"} <= set(facts)


def test_the_same_seed_gives_the_same_run_and_another_one_another(tmp_path: Path) -> None:
    scores = [
        run(tmp_path / name, *VECTORS, *GROWS, f"seed={seed}")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = ([row["val/loss"] for row in rows(folder)] for folder in scores)
    assert a == b != c
    assert events(scores[0]) == events(scores[1])


# --- how a run can end ---


class Raises(Callback):
    """Raises in the middle of the third epoch."""

    def __init__(self, what: str) -> None:
        self.error = {"interrupt": KeyboardInterrupt, "fault": RuntimeError}[what]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 2:
            raise self.error("as the test wants it")


@pytest.mark.parametrize(
    ("what", "error", "status"),
    [("interrupt", KeyboardInterrupt, "interrupted"), ("fault", RuntimeError, "failed")],
)
def test_a_run_that_breaks_off_leaves_what_it_had(
    tmp_path: Path, what: str, error: type[BaseException], status: str
) -> None:
    breaks = ("+callbacks.raises._target_=test_train.Raises", f"+callbacks.raises.what={what}")
    with pytest.raises(error):
        run(tmp_path, *VECTORS, *GROWS, *breaks)
    summary = load(tmp_path, "summary.json")
    assert summary["status"] == status
    assert (summary["epochs"], summary["steps"], summary["test"]) == (2, 9, None)
    assert files(tmp_path) == FILES
    assert len(rows(tmp_path)) == 2


@pytest.mark.parametrize("monitor", ["accuracy", "loss"])
def test_a_run_that_diverges_stops_and_says_so(tmp_path: Path, monitor: str) -> None:
    watched = (f"task.monitor={monitor}", f"task.mode={'max' if monitor == 'accuracy' else 'min'}")
    diverges = ("optimizer=sgd", "optimizer.lr=1e30", "controller=none", "trainer.max_epochs=9")
    run(tmp_path, *VECTORS, *diverges, *watched)
    summary = load(tmp_path, "summary.json")
    assert summary["status"] == "diverged"
    assert summary["epochs"] < 9
    assert summary["test"] is None
    assert summary["final"]["val/loss"] is None  # JSON has no word for nan


def test_a_loss_above_the_threshold_is_divergence_too(tmp_path: Path) -> None:
    run(tmp_path, *VECTORS, "callbacks.governor.max_loss=0.01", "controller=none")
    assert load(tmp_path, "summary.json")["status"] == "diverged"


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_run_without_a_validation_has_no_best(tmp_path: Path) -> None:
    blind = ("trainer.limit_val_batches=0", "trainer.max_epochs=3")
    assert math.isnan(train(config(tmp_path, *VECTORS, *blind)))
    summary = load(tmp_path, "summary.json")
    assert (summary["status"], summary["best"], summary["final"]) == ("finished", None, {})


@pytest.mark.parametrize("batches", ["true", "2"])
def test_a_fast_run_runs_every_part_once(tmp_path: Path, batches: str) -> None:
    run(tmp_path, *VECTORS, f"trainer.fast_dev_run={batches}")
    summary = load(tmp_path, "summary.json")
    assert (summary["status"], summary["epochs"]) == ("finished", 1)
    assert summary["test"] is not None
    assert not (tmp_path / "checkpoints").exists()


# --- the test split ---


def test_the_test_is_that_of_the_best_network(tmp_path: Path) -> None:
    run(tmp_path, *VECTORS, *GROWS, "trainer.max_epochs=9")
    summary = load(tmp_path, "summary.json")
    assert summary["best"]["epoch"] < 8
    best = checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert best["epoch"] == summary["best"]["epoch"]
    assert evaluate(tmp_path, "test") == summary["test"]
    again = evaluate(tmp_path, "validation")
    assert again["val/accuracy"] == summary["best"]["value"]


def test_the_test_can_be_left_out(tmp_path: Path) -> None:
    run(tmp_path, *VECTORS, "trainer.max_epochs=1", "test=false")
    assert load(tmp_path, "summary.json")["test"] is None


# --- every kind of run, end to end ---

TEXT = (
    *(option for option in TOKENS if not option.startswith("data")),
    "data=stdlib_text",
    "data.context=8",
    "data.batches_per_epoch=3",
    "data.batch_size=4",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=2",
)


def test_a_language_model_grows_on_text(tmp_path: Path) -> None:
    run(tmp_path, *TEXT, *GROWS)
    assert "fossilize" in [event for _, _, event in moves(tmp_path)]
    summary = load(tmp_path, "summary.json")
    assert (summary["monitor"], summary["mode"]) == ("val/loss", "min")
    assert summary["best"]["value"] == min(float(row["val/loss"]) for row in rows(tmp_path))
    for row in rows(tmp_path):
        bits = float(row["val/loss"]) / math.log(2)
        assert float(row["val/bpc"]) == pytest.approx(bits, rel=1e-6)


def test_ticks_by_steps_grow_within_an_epoch(tmp_path: Path) -> None:
    run(tmp_path, *IMAGES, *FAST, "callbacks.ticker.every_n_steps=2", "trainer.max_epochs=3")
    told = events(tmp_path)
    assert [event["event"] for event in told[:2]] == ["germinate", "train"]
    assert {event["step"] % 4 for event in told} == {0, 2}
    assert all(event["step"] == 2 * event["tick"] for event in told)


def test_a_network_can_be_grown_from_the_start(tmp_path: Path) -> None:
    run(
        tmp_path,
        *VECTORS,
        "slots.planted={layers.0: mlp}",
        "controller=none",
        "trainer.max_epochs=2",
    )
    summary = load(tmp_path, "summary.json")
    assert summary["parameters"]["grown"] == 568
    assert {row["stage"] for row in rows(tmp_path, "timeline.csv")} == {"fossilized", "dormant"}


class Pair(nn.Module):
    """A host of a user's own that returns predictions and something else."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 6), nn.Tanh())
        self.head = nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.head(h), h


OWN_TASK = {
    "_target_": "kasmina.tasks.Task",
    "loss": {"_target_": "torch.nn.MultiMarginLoss"},
    "metrics": {
        "f1": {"_target_": "torchmetrics.classification.MulticlassF1Score", "num_classes": 4}
    },
    "monitor": "f1",
    "mode": "max",
}


def test_a_users_host_loss_and_metric_come_from_the_config(tmp_path: Path) -> None:
    own = config(tmp_path, *VECTORS, *GROWS)
    with open_dict(own):
        own.host = {"_target_": "test_train.Pair", "num_classes": 4}
        own.slots = {"sites": ["body"], "planted": None}
        own.task = OWN_TASK
    train(own)
    summary = load(tmp_path, "summary.json")
    assert summary["monitor"] == "val/f1"
    assert set(summary["final"]) == {"val/loss", "val/f1"}
    assert summary["seeds"]["kept"] == 1


@pytest.mark.parametrize("missing", ["ticker", "ledger", "record"])
def test_a_callback_that_others_rest_on_is_missed_before_training(
    tmp_path: Path, missing: str
) -> None:
    with pytest.raises(ValueError, match=f"callbacks: a run needs kasmina.callbacks.{missing}."):
        run(tmp_path, *VECTORS, f"callbacks.{missing}=null")


def test_a_falling_rate_without_an_end_is_refused(tmp_path: Path) -> None:
    endless = ("trainer.max_epochs=-1", "trainer.max_steps=-1")
    with pytest.raises(ValueError, match="this run has no end; possible"):
        run(tmp_path, *VECTORS, *endless)
    assert load(tmp_path, "summary.json")["status"] == "failed"
