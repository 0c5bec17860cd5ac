"""Runs that end when their FLOPs are spent."""

import json
from itertools import pairwise

import pytest
import torch
from runs import VECTORS, rows, run

from kasmina.callbacks.budget import Budget

LONG = (*VECTORS, "trainer.max_epochs=40", "report=false", "test=false")


def spent(folder):
    return json.loads((folder / "summary.json").read_text())["flops"]


@pytest.mark.parametrize("flops", [4.2e5, 1e6])
@pytest.mark.parametrize("controller", ["none", "biggest"])
def test_a_run_spends_its_budget_but_for_a_step_and_what_a_validation_became_dearer(
    tmp_path, controller, flops
):
    folder = run(tmp_path, *LONG, f"controller={controller}", f"callbacks.budget.flops={flops}")
    bills = [float(row["train_flops"]) for row in rows(folder)]
    epoch = max(after - before for before, after in pairwise(bills))
    assert abs(spent(folder) - flops) < epoch
    last = rows(folder)[-1]
    assert float(last["train_flops"]) == spent(folder)
    assert int(last["step"]) == json.loads((folder / "summary.json").read_text())["steps"]


def test_a_run_that_its_steps_end_inside_an_epoch_is_validated_there(tmp_path):
    folder = run(tmp_path, *LONG, "trainer.max_steps=6")
    assert [int(row["step"]) for row in rows(folder)] == [4, 6]


def test_without_a_budget_a_run_has_all_its_epochs(tmp_path):
    folder = run(tmp_path, *LONG, "trainer.max_epochs=3", "callbacks.budget.flops=null")
    assert len(rows(folder)) == 3


@pytest.mark.parametrize("flops", [0, -1.0, float("nan")])
def test_a_budget_that_pays_for_nothing_is_refused(flops):
    with pytest.raises(ValueError, match="above 0"):
        Budget(flops=flops)


def test_the_last_tick_is_foreseen_and_the_rate_ends_where_the_flops_do(tmp_path):
    folder = run(
        *(tmp_path, *LONG, "controller=biggest", "pace.tail=4", "trainer.max_epochs=1000"),
        *("scheduler=linear", "callbacks.budget.flops=2e6", "timing.start=1"),
    )
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    born = [event["tick"] for event in told if event["event"] == "germinate"]
    assert len(rows(folder)) > 8
    assert born
    assert max(born) <= len(rows(folder)) - 4
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    for group in saved["optimizer_states"][0]["param_groups"]:
        assert 0 <= group["lr"] < 0.1 * group["initial_lr"]
