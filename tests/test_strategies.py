"""Growth over several processes: ranks stay equal, and equal to one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from kasmina.strategies import commit_topology
from tests.runs import TWO_LIVES, VECTORS, load, moves, rows, timeline

WITNESS = """
import torch
from lightning import Callback

class Witness(Callback):
    def on_fit_end(self, trainer, module):
        path = f"rank{trainer.global_rank}of{trainer.world_size}.pt"
        torch.save(module.model.state_dict(), path)
"""


def states(folder: Path, ranks: int, *more: str) -> list[dict[str, torch.Tensor]]:
    """Train in ``ranks`` processes on batches of 16 in all; the weights of each rank."""
    (folder / "witness.py").write_text(WITNESS)
    overrides = [
        *(text for text in VECTORS if "batch_size" not in text),
        *timeline(*TWO_LIVES),
        f"data.batch_size={16 // ranks}",
        f"trainer={'ddp_sim' if ranks > 1 else 'cpu'}",
        "trainer.max_epochs=7",
        "trainer.precision=64-true",
        "controller.pace=null",
        "ramp.ticks=1",
        "incubation.interval=2",  # DDP has seeds without a gradient in every other step
        "optimizer=sgd",
        "+callbacks.witness={_target_: witness.Witness}",
        *("callbacks.progress=null", "report=false", "test=false"),
        *more,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kasmina", *overrides]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    names = [f"rank{rank}of{ranks}.pt" for rank in range(ranks)]
    return [torch.load(folder / name, weights_only=True) for name in names]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one eager process ends with."""
    (state,) = states(tmp_path_factory.mktemp("alone"), 1)
    return state


COMPILED = ("compile=default", "compile.backend=aot_eager")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "how",
    [
        COMPILED,
        (*COMPILED, "compile.scope=whole"),
    ],  # eager ranks: test_distributed
    ids=["blocks", "whole"],
)
def test_two_ranks_grow_and_prune_as_one_process_does(
    how: tuple[str, ...], alone: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    first, second = states(tmp_path, 2, *how, "logger=[wandb]", "logger.wandb.offline=true")
    assert_written_once(tmp_path)
    assert any("layers/0.seed" in name for name in first)
    assert not any("layers/1.seed" in name for name in first)
    assert list(first) == list(second) == list(alone)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        torch.testing.assert_close(tensor, alone[name], rtol=1e-10, atol=1e-12)


def assert_written_once(folder: Path) -> None:
    """What one rank writes is not written by the other as well."""
    (run,) = (folder / "runs" / "default").iterdir()
    ticks = 7
    assert [row["tick"] for row in rows(run)] == [str(tick + 1) for tick in range(ticks)]
    assert len(rows(run, "timeline.csv")) == 2 * ticks
    assert len(moves(run)) == len(set(moves(run)))
    names = [path.name for path in (run / "checkpoints").iterdir()]
    assert sorted(names) == ["best.ckpt", "last-1.ckpt", "last.ckpt"]
    assert len(list(run.rglob("*.wandb"))) == 1
    rewraps = load(run, "ledger.json")["rewraps"]
    assert rewraps["count"] == 3  # two births and a prune, each at a tick of its own
    assert rewraps["seconds"] > 0


class _Trainer:
    strategy = DDPStrategy()
    world_size = 2


def test_a_strategy_that_cannot_follow_growth_says_so() -> None:
    with pytest.raises(ValueError, match="DDPStrategy cannot follow a network that grows"):
        commit_topology(_Trainer())  # type: ignore[arg-type]
