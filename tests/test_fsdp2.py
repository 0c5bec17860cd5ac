"""A network whose parameters are shared out over ranks grows as one process's does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import BASE, SHARES, seen, together
from runs import checkpoint, load
from test_distributed import assert_as_one_process, assert_equal_after_every_step

TOLERANCE = {"shares_bf16": 2e-2}
REFUSED = {
    "shares_shadow": "incubation=shadow (its second pass swaps parameters that FSDP2 gathers); "
    "choose incubation=ste_ridge or incubation=ste",
    "shares_governed": "callbacks.governor (its snapshots are copies of whole networks); "
    "choose callbacks.governor=null",
}


@pytest.mark.slow
@pytest.mark.long
def test_seeds_are_shared_out_from_birth_and_the_run_is_that_of_one_process(
    tmp_path: Path,
) -> None:
    ranks = together(tmp_path, 2, list(SHARES))
    for name in SHARES:
        of_all = [rank[name] for rank in ranks]
        if name in REFUSED:
            assert [REFUSED[name] in rank["error"] for rank in of_all] == [True, True]
            continue
        assert_equal_after_every_step(of_all)
        assert of_all[0]["error"] is None
        assert_each_holds_half(of_all)
        if name != "shares_resumed":
            alone = seen(tmp_path / "alone", 1, name)
            assert_as_one_process(of_all[0], alone, TOLERANCE.get(name, 1e-12))
    whole, resumed = ranks[0]["shares"], ranks[0]["shares_resumed"]
    assert resumed["steps"] == whole["steps"][16:]  # from the fifth of seven epochs on
    assert_files_are_alike(*(tmp_path / folder / "shares" for folder in ("", "alone")))


def assert_each_holds_half(ranks: list[dict[str, Any]]) -> None:
    """Of every parameter, also of the seed that was born in the run, and of Adam's two moments."""
    total = sum(tensor.numel() for tensor in ranks[0]["weights"].values())
    held = [rank["here"] for rank in ranks]
    assert sum(held) == total
    assert max(held) < 0.6 * total
    assert [rank["state_here"] for rank in ranks] == [2 * here for here in held]


def assert_files_are_alike(shared: Path, alone: Path) -> None:
    """A checkpoint of shares is one of whole tensors, as one process writes it."""
    ours, theirs = (checkpoint(each / "checkpoints" / "last.ckpt") for each in (shared, alone))
    assert ours["topology"] == theirs["topology"]
    assert list(ours["state_dict"]) == list(theirs["state_dict"])
    for name, tensor in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][name], tensor, rtol=0.0, atol=1e-12)
    (mine,), (its,) = ours["optimizer_states"], theirs["optimizer_states"]
    assert mine["param_groups"] == its["param_groups"]
    for index, state in its["state"].items():
        for key, value in state.items():
            torch.testing.assert_close(mine["state"][index][key], value, rtol=0.0, atol=1e-12)


@pytest.mark.long
def test_the_command_line_trains_tests_and_evaluates_with_shares(tmp_path: Path) -> None:
    overrides = [
        *(text for text in BASE if "governor" not in text),
        *("trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2", "incubation=ste"),
        *("callbacks.governor=null", "callbacks.progress=null", "report=false"),
        *("hydra.run.dir=run", "trainer.max_epochs=3", "data.batch_size=8"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "kasmina", *overrides],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    summary = load(tmp_path / "run", "summary.json")
    assert summary["status"] == "finished"
    assert 0 <= summary["test"]["test/accuracy"] <= 1
    assert load(tmp_path / "run", "ledger.json")["flops"]["seeds"] >= 0


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("name", ["cuda", "cuda_shares"])
def test_two_gpus_grow_as_one_process_does(name: str, tmp_path: Path) -> None:
    ranks = [rank[name] for rank in together(tmp_path, 2, [name])]
    assert_equal_after_every_step(ranks)
    assert ranks[0]["error"] is None
    assert_as_one_process(ranks[0], seen(tmp_path / "alone", 1, name), 1e-9)
