"""What does it cost DDP to follow a change of the network, by model size and number of ranks?

Usage: python experiments/rewrap_cost/run.py [--device cuda] [--rounds 15]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
import torch.distributed as dist
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from omegaconf import OmegaConf

from kasmina.assembly import Run, assemble
from kasmina.bench.sheet import machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import ratio, spread
from kasmina.callbacks.base import GrowthCallback
from kasmina.hydra_api import compose
from kasmina.strategies import GrowingDDP

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
WIDTHS = (256, 1024, 2816)  # 0.1, 2.1 and 15.9 million parameters
BATCH = 32
Row = dict[str, str | int | float]


class Clock(GrowthCallback):
    """In every batch: one rewrap of a network that has not changed, then the step."""

    def __init__(self) -> None:
        self.rewraps: list[float] = []
        self.steps: list[float] = []
        self._since = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        strategy = trainer.strategy
        assert isinstance(strategy, GrowingDDP)
        began = now()
        strategy.commit_topology()
        self._since = now()
        self.rewraps.append(self._since - began)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.steps.append(now() - self._since)


def now() -> float:
    """Once every rank and the device have done all they had to do, seconds."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    dist.barrier()
    return time.perf_counter()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, then write the table and the picture; or be one of the ranks that do."""
    options = arguments(argv)
    widths = [16] if options.quick else list(WIDTHS)
    if options.world:
        work(options, widths)
        return
    counts = range(1, torch.cuda.device_count() + 1) if options.device == "cuda" else (2, 4)
    rows = [row for ranks in ([2] if options.quick else counts) for row in among(ranks, options)]
    options.out.mkdir(parents=True, exist_ok=True)
    end = suffix(options.device)
    write_csv(options.out / f"results{end}.csv", rows)
    draw(rows, options.out / f"rewrap{end}.png")
    print(markdown(rows), machine(), sep="\n")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=15)
    parser.add_argument("--world", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def among(world: int, options: argparse.Namespace) -> list[Row]:
    """The rows of a group of ``world`` processes."""
    print(f"{world} ranks", flush=True)
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    flags = ["--rounds", str(options.rounds), "--device", options.device, "--world", str(world)]
    flags += ["--quick"] * options.quick
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--out", folder, *flags]
        ranks = [
            subprocess.Popen(
                command,
                env={**os.environ, **group, "LOCAL_RANK": str(rank), "NODE_RANK": "0"},
            )
            for rank in range(world)
        ]
        if any([rank.wait() for rank in ranks]):
            raise RuntimeError(f"a rank of {world} has failed; its error stands above")
        found: list[Row] = json.loads((Path(folder) / "rows.json").read_text())
    return found


def work(options: argparse.Namespace, widths: Sequence[int]) -> None:
    """Be one rank: measure every size; the first one writes the rows."""
    warnings.filterwarnings("ignore")
    rows = [measured(width, options) for width in widths]
    if os.environ["LOCAL_RANK"] == "0":
        (options.out / "rows.json").write_text(json.dumps(rows))


def measured(width: int, options: argparse.Namespace) -> Row:
    """Rewraps and steps of one size, in turns; the first two rounds warm up."""
    run, clock = training(width, options), Clock()
    run.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.data)
    rewraps, steps = clock.rewraps[2:], clock.steps[2:]
    milliseconds, share = spread([1e3 * each for each in rewraps]), ratio(rewraps, steps)
    return {
        "ranks": options.world,
        "parameters": sum(p.numel() for p in run.module.model.parameters()),
        "rewrap_ms": milliseconds.median,
        "low_ms": milliseconds.low,
        "high_ms": milliseconds.high,
        "rewrap_over_step": share.median,
        "low": share.low,
        "high": share.high,
    }


def training(width: int, options: argparse.Namespace) -> Run:
    """A perceptron with two hidden layers after the first, as any run builds it."""
    batches = options.rounds + 2
    config = compose(
        [
            *("host=mlp", f"host.widths=[{width},{width},{width}]", "slots=layers"),
            *("data=synthetic_vectors", "data.in_features=64", "blueprint=[mlp]"),
            f"data.train_size={batches * BATCH * options.world}",
            *("data.val_size=32", "data.test_size=32", f"data.batch_size={BATCH}"),
            f"trainer={'ddp' if options.device == 'cuda' else 'ddp_sim'}",
            *(f"trainer.devices={options.world}", "trainer.max_epochs=1"),
            *("callbacks.progress=null", "callbacks.governor=null", "callbacks.last=null"),
            *("callbacks.best=null", "controller=none", "+trainer.enable_progress_bar=false"),
        ]
    )
    config.paths.run_dir = str(options.out / f"width{width}")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return assemble(plain)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Time of a rewrap over that of a step, with quartiles, by size."""
    figure, axis = plt.subplots(figsize=(7, 4))
    for ranks in dict.fromkeys(row["ranks"] for row in rows):
        own = [row for row in rows if row["ranks"] == ranks]
        middle, low, high = (
            [float(row[key]) for row in own] for key in ("rewrap_over_step", "low", "high")
        )
        below = [m - each for m, each in zip(middle, low, strict=True)]
        above = [each - m for m, each in zip(middle, high, strict=True)]
        sizes = [float(row["parameters"]) for row in own]
        axis.errorbar(sizes, middle, yerr=[below, above], fmt="o-", label=f"{ranks} ranks")
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("parameters")
    axis.set_ylabel("time of a rewrap / time of a step")
    axis.set_title("What following a change of the network costs DDP")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
