"""The files of a run folder."""

import math
from pathlib import Path
from typing import Any

import pytest
from runs import FAST, VECTORS, events, fit, load, rows, timeline

from kasmina.callbacks.base import the
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.record import RunRecord
from kasmina.tasks import Classification

PLACE = ["tick", "epoch", "step"]
METRICS = [
    *PLACE,
    "wall_s",
    "train_flops",
    "incubation_flops",
    "evaluation_flops",
    "parameters",
    "train/loss",
    "val/loss",
    "val/accuracy",
]
TIMELINE = [
    *PLACE,
    "site",
    "stage",
    "alpha",
    "blueprint",
    "parameters",
    "contribution",
    "seed_loss",
]
EVENT = {
    *PLACE,
    "site",
    "event",
    "from",
    "to",
    "blueprint",
    "alpha",
    "parameters",
    "by",
    "reason",
    "numbers",
}
SEED = 8 * 2 + 8 * 32 + 32 + 32 * 8 + 8
HOST = 8 * 8 + 8 + 8 * 8 + 8 + 8 * 4 + 4
LIFE = (
    *timeline("1 layers.0 germinate mlp", "1 layers.0 train", "3 layers.0 blend"),
    "controller.pace=null",
    "ramp.ticks=2",
    "ramp=linear",
)


def test_a_row_of_metrics_at_every_validation(tmp_path: Path) -> None:
    run = fit(tmp_path, *VECTORS, *LIFE, "trainer.max_epochs=5")
    table = rows(tmp_path)
    assert [list(row) for row in table] == [METRICS] * 5
    places = [[int(row[key]) for key in PLACE] for row in table]
    assert places == [[n, n - 1, 4 * n] for n in range(1, 6)]
    assert [int(row["parameters"]) for row in table] == [HOST] + [HOST + SEED] * 4
    for key in ("wall_s", "train_flops", "incubation_flops", "evaluation_flops"):
        values = [float(row[key]) for row in table]
        assert values == sorted(values)
    ledger = the(run.trainer, Ledger)
    assert float(table[-1]["train_flops"]) == ledger.total
    assert float(table[-1]["incubation_flops"]) == ledger.flops["incubation"]
    assert float(table[-1]["evaluation_flops"]) == ledger.flops["evaluation"]


def test_a_row_of_the_timeline_for_every_slot_and_tick(tmp_path: Path) -> None:
    fit(tmp_path, *VECTORS, *LIFE, "trainer.max_epochs=5")
    table = rows(tmp_path, "timeline.csv")
    assert [list(row) for row in table] == [TIMELINE] * 10
    grown, empty = table[::2], table[1::2]
    assert [row["stage"] for row in grown] == ["dormant", *["training"] * 2, "blending", "holding"]
    assert [float(row["alpha"]) for row in grown] == [0, 0, 0, 0.5, 1]
    assert [row["blueprint"] for row in grown] == ["", *["mlp"] * 4]
    assert [int(row["parameters"]) for row in grown] == [0, *[SEED] * 4]
    assert [bool(row["contribution"]) for row in grown] == [False, *[True] * 4]
    assert [bool(row["seed_loss"]) for row in grown] == [False, True, True, False, False]
    for row in empty:
        assert (row["site"], row["stage"], row["alpha"]) == ("layers.1", "dormant", "0.0")
        assert (row["blueprint"], row["contribution"], row["seed_loss"]) == ("", "", "")


def test_a_line_of_json_for_every_decision(tmp_path: Path) -> None:
    fit(tmp_path, *VECTORS, *FAST, "trainer.max_epochs=7", "pace.keep_minimum=null")
    told = events(tmp_path)
    assert all(set(event) == EVENT for event in told)
    assert [(e["event"], e["from"], e["to"]) for e in told] == [
        ("germinate", "dormant", "germinated"),
        ("train", "germinated", "training"),
        ("blend", "training", "blending"),
        ("hold", "blending", "holding"),
        ("fossilize", "holding", "fossilized"),
        ("germinate", "dormant", "germinated"),
        ("train", "germinated", "training"),
    ]
    assert [e["by"] for e in told] == [*["controller"] * 3, "ramp", *["controller"] * 3]
    assert all((e["blueprint"], e["parameters"]) == ("mlp", SEED) for e in told)
    assert all(e["reason"] and e["step"] == 4 * e["epoch"] for e in told)


def test_a_metric_that_is_not_finite_is_written_as_a_word(tmp_path: Path) -> None:
    breaks = ("optimizer=sgd", "optimizer.lr=1e30", "callbacks.governor=null")
    fit(tmp_path, *VECTORS, "controller=none", *breaks)
    assert {row["val/loss"] for row in rows(tmp_path)} <= {"nan", "inf"}


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_run_without_a_validation_leaves_tables_with_heads_alone(tmp_path: Path) -> None:
    blind = ("trainer.limit_val_batches=0", "trainer.max_epochs=2")
    run = fit(tmp_path, *VECTORS, "controller=none", *blind)
    heads = [(tmp_path / name).read_text().splitlines() for name in ("metrics.csv", "timeline.csv")]
    assert heads == [[",".join(METRICS)], [",".join(TIMELINE)]]
    assert events(tmp_path) == []
    assert load(tmp_path, "ledger.json")["flops"]["total"] > 0
    assert the(run.trainer, RunRecord).best is None


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("rhythm", [[], ["callbacks.ticker.every_n_steps=50"]], ids=str)
def test_a_new_run_in_an_old_folder_starts_new_files(tmp_path: Path, rhythm: list[str]) -> None:
    fit(tmp_path, *VECTORS, *LIFE, "trainer.max_epochs=5", *rhythm)
    fit(tmp_path, *VECTORS, "controller=none", "trainer.max_epochs=2", *rhythm)
    assert [list(row) for row in rows(tmp_path)] == [METRICS] * 2
    assert len(rows(tmp_path, "timeline.csv")) == 4
    assert events(tmp_path) == []


@pytest.mark.parametrize(
    ("values", "mode", "best"),
    [
        ([0.1, 0.3, 0.2], "max", {"value": 0.3, "tick": 2}),
        ([0.1, 0.3, 0.2], "min", {"value": 0.1, "tick": 1}),
        ([0.3, 0.3], "max", {"value": 0.3, "tick": 1}),
        ([math.nan, 0.3], "max", {"value": 0.3, "tick": 2}),
        ([0.3, math.nan], "min", {"value": 0.3, "tick": 1}),
        ([math.nan], "min", None),
    ],
)
def test_the_best_is_the_first_of_the_best_and_never_nan(
    values: list[float], mode: str, best: Any
) -> None:
    task = Classification(num_classes=2, monitor="loss", mode=mode)
    record = RunRecord(folder="nowhere")
    for tick, value in enumerate(values, start=1):
        record.note({"val/loss": value, "train/loss": 0.0}, task, {"tick": tick})
    assert record.best == best
    assert list(record.last) == ["val/loss"]


def test_the_ledger_is_written_as_it_stands(tmp_path: Path) -> None:
    run = fit(tmp_path, *VECTORS, *LIFE, "trainer.max_epochs=5")
    bill, ledger = load(tmp_path, "ledger.json"), the(run.trainer, Ledger)
    assert bill["seeds"] == ledger.seeds
    assert bill["flops"] == {**ledger.flops, "total": ledger.total, "pruned_seeds": 0}
    assert 0 < bill["wall_s"]["fit"] < ledger.elapsed
