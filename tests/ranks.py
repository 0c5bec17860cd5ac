"""Many small runs in each process of one group.

``python tests/ranks.py <folder> <world size> <case>...``

Starting a process costs more than all the runs. Each rank leaves a file with what it saw.
"""

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import runs
import torch
import trials
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from kasmina.callbacks.base import GrowthCallback
from kasmina.lit import GrowingModule
from kasmina.strategies.fsdp2 import whole

BASE = (
    *(text for text in runs.VECTORS if "batch_size" not in text),
    *runs.timeline(*runs.TWO_LIVES),
    "trainer.max_epochs=7",
    "trainer.precision=64-true",
    "controller.pace=null",
    "ramp.ticks=2",
    "optimizer=adamw",
    "scheduler=constant",
    "callbacks.governor=null",
)
"""Germination, a second one, a ramp, a prune and a fossilization within seven epochs."""
DDP = ("trainer=ddp_sim", "trainer.strategy.compare=parameters")
CASES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "accumulation": ("trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.01"),
    "rests": ("incubation.interval=2",),
    "uneven": ("data.train_size=61",),
    "bf16": ("trainer.precision=bf16-mixed",),
    "tested": (  # what the timeline leaves open, the pace does; at tick 5 it looks at layers.0
        "pace=statistical",
        "controller.pace=${pace}",
        "pace.incubate=9",
        "pace.hold=1",
        "data.train_size=81",
        "data.gate_size=17",  # one more than a round of all ranks
    ),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "static_graph": ("+trainer.strategy.static_graph=true",),
    "find_unused": ("+trainer.strategy.find_unused_parameters=true",),
    "bucket_view": (
        "+trainer.strategy.gradient_as_bucket_view=true",
        "trainer.accumulate_grad_batches=3",
        "trainer.gradient_clip_val=0.01",
    ),
    "static_accumulation": (
        "+trainer.strategy.static_graph=true",
        "trainer.accumulate_grad_batches=3",
    ),
    "disagreeing": ("callbacks.pruning.max_harm=0.0",),
    "deviating": (),
    "drifting": (),
    "raced": (),
    "pruned": (),
}
"""Options of DDP alone, and ranks that do not see the same."""


SHARED = (
    "trainer.strategy._target_=kasmina.strategies.GrowingFSDP2",
    "trainer.inference_mode=false",
    "incubation=ste",
)
SHARES: dict[str, tuple[str, ...]] = {
    "shares": SHARED,
    "shares_accumulation": (
        *SHARED,
        "trainer.accumulate_grad_batches=3",
        "trainer.gradient_clip_val=0.01",
    ),
    "shares_uneven": (*SHARED, "data.train_size=61"),
    "shares_bf16": (*SHARED, "trainer.precision=bf16-mixed"),
    "shares_resumed": SHARED,
    "shares_shadow": SHARED[:2],
    "shares_governed": (*SHARED, "+callbacks.watcher._target_=kasmina.callbacks.governor.Governor"),
}
"""FSDP2, and what one process does in its place."""
CUDA: dict[str, tuple[str, ...]] = {
    "cuda": ("trainer.accelerator=gpu",),
    "cuda_shares": (*SHARED, "trainer.accelerator=gpu"),
}


class Witness(GrowthCallback):
    """Notes the parameters after every step, and what DDP and the optimizer hold of them."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.reduced: list[tuple[int, int]] = []
        self.moves: list[tuple[int, str, str]] = []
        self.evidence: list[dict[str, Any]] = []

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        self.evidence += [{"site": site, **vars(e)} for site, e in module.evidence.items()]

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Any) -> None:
        self.moves.append((tick, change.site, change.event))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        wrapper = trainer.strategy.model
        if isinstance(wrapper, DistributedDataParallel):
            trained = [p for p in pl_module.parameters() if p.requires_grad]
            held = wrapper._get_ddp_logging_data()["num_parameter_tensors"]
            self.reduced.append((held, len(trained)))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        digest = hashlib.blake2b(digest_size=8)
        for parameter in pl_module.parameters():
            held = whole(parameter.detach()).cpu()
            digest.update(held.contiguous().view(torch.uint8).numpy().tobytes())
        self.steps.append(digest.hexdigest())


class Disagreement(GrowthCallback):
    """Rank 1 measures other contributions than rank 0, all harmful."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GrowingModule)
        if trainer.global_rank == 1:
            pl_module.contributions = dict.fromkeys(pl_module.contributions, -9.0)


class Deviation(GrowthCallback):
    """Rank 1 alone moves a slot."""

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        if trainer.global_rank == 1 and tick == 2:
            module.model.slot("layers.0").births += 1


class Drift(GrowthCallback):
    """Rank 1 alone changes a weight."""

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        if trainer.global_rank == 1 and tick == 2:
            with torch.no_grad():
                next(module.model.host.parameters()).add_(1e-9)


RACED = (
    *(text for text in BASE if not text.startswith("controller")),
    "controller=race",
    "controller.race.steps=8",
    "controller.race.twin=2",
    "controller.race.held_out=16",
    "controller.race.price_parameters=0.0",
    "controller.race.price_flops=0.0",
    "controller.race.confidence=0.0001",
    "controller.race.spread=2",
    "controller.max_live=2",
    "pace.incubate=1",
    "pace.tail=0",
)
"""Rank 0 races, and all grow the winner with its weights, and where it spreads to."""
TROUBLE = {"disagreeing": Disagreement, "deviating": Deviation, "drifting": Drift}


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def seen(folder: Path, world: int, name: str) -> dict[str, Any]:
    """Run a case; what this process has of it at its end."""
    more = {**CASES, **OPTIONS, **SHARES, **CUDA}[name]
    if world == 1:  # no strategy of several ranks
        more = tuple(text for text in more if "strategy" not in text)
    ranks = (*DDP, f"trainer.devices={world}") if world > 1 else ()
    every = () if SHARED[0] in more or "incubation=ste" in more else ("incubation.interval=1",)
    base = RACED if name == "raced" else BASE
    overrides = (*base, *every, *ranks, f"data.batch_size={16 // world}", *more)
    go_on = None
    if name == "pruned" and os.environ["LOCAL_RANK"] == "0":  # the other ranks need not see it
        trials.hand_to(folder / name, trials.AT_ONCE)
    if name.endswith("resumed"):
        started = runs.made(folder / name, *overrides, "trainer.max_epochs=4")
        started.trainer.fit(started.module, started.data)
        go_on = folder / name / "checkpoints" / "last.ckpt"
    run = runs.made(folder / name, *overrides)
    witness = Witness()
    callbacks: list[Any] = run.trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(witness)
    if name in TROUBLE:
        callbacks.insert(0, TROUBLE[name]())
    error = None
    try:
        run.trainer.fit(run.module, run.data, ckpt_path=go_on, weights_only=True)
    except ValueError as raised:
        error = str(raised)
    groups = run.trainer.optimizers[0].param_groups if run.trainer.optimizers else []
    kept = sum(len(optimizer.state) for optimizer in run.trainer.optimizers)
    return {
        "error": error,
        "steps": witness.steps,
        "moves": witness.moves,
        "evidence": witness.evidence,
        "reduced": witness.reduced,
        "weights": whole(dict(run.module.model.state_dict())),
        "groups": [group["name"] for group in groups],
        "kept": kept,
        "here": sum(local(p).numel() for p in run.module.parameters()),
        "state_here": sum(
            local(value).numel()
            for optimizer in run.trainer.optimizers
            for state in optimizer.state.values()
            for key, value in state.items()
            if key != "step"
        ),
    }


def together(folder: Path, world: int, names: list[str]) -> list[dict[str, Any]]:
    """Run the cases on ``world`` ranks; by rank, what each has of each case."""
    port = str(find_free_network_port())
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(folder), str(world), *names]
    logs = [folder / f"rank{rank}.log" for rank in range(world)]
    with ExitStack() as files:
        started = [
            subprocess.Popen(
                command,
                env={**os.environ, **group, "LOCAL_RANK": str(rank), "NODE_RANK": "0"},
                stdout=subprocess.DEVNULL,
                stderr=files.enter_context(log.open("w")),
            )
            for rank, log in enumerate(logs)
        ]
    try:
        for process, log in zip(started, logs, strict=True):
            assert process.wait(timeout=300) == 0, log.read_text()[-2000:]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(world)]


def main() -> None:
    folder, world = Path(sys.argv[1]), int(sys.argv[2])
    found = {name: seen(folder, world, name) for name in sys.argv[3:]}
    torch.save(found, folder / f"rank{os.environ['LOCAL_RANK']}.pt")


if __name__ == "__main__":
    main()
