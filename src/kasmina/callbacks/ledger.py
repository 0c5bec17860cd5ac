"""Charges every floating point operation that training spends, and to whom."""

import time
from collections import Counter
from collections.abc import Collection
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities import move_data_to_device

from kasmina.callbacks.base import Batch, GrowthCallback, growing
from kasmina.callbacks.compile_log import CompileLog
from kasmina.flops import StepCost, few, step_cost
from kasmina.lit import GrowingModule
from kasmina.stage import ROLLBACK, Event, Stage
from kasmina.surgery import Change


class Ledger(GrowthCallback):
    """FLOPs of host, seeds, incubation, evaluation, probes and races, and of every single seed;
    wall time, how long the strategy took to follow changes, and what the compiler did after each.

    A step is counted once for each structure of the network and multiplied by samples. What went
    to a seed stays on the bill when the seed is pruned.
    """

    def __init__(self) -> None:
        self.flops = {"host": 0.0, "seeds": 0.0, "incubation": 0.0, "evaluation": 0.0}
        self.flops |= {"probe": 0.0, "race": 0.0}
        self.wall_s = 0.0
        self.seeds: list[dict[str, Any]] = []
        self.rewraps = {"count": 0, "seconds": 0.0}
        self.compiling = CompileLog()
        self._cost: StepCost | None = None
        self._since = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The clock runs from here."""
        self._since = time.monotonic()
        self.compiling.start()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The compiler's work after the end is not training's."""
        if stage == "fit":
            self.compiling.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Nor is what comes after a run that failed."""
        self.compiling.stop()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Charge a training step."""
        module = growing(pl_module)
        cost, samples = self._price(module, batch), _samples(batch, trainer)
        inside = sum(cost.seeds.values())
        self.flops["host"] += samples * (cost.main - inside)
        self.flops["seeds"] += samples * inside
        self.flops["incubation"] += samples * cost.incubation
        training = module.model.at(Stage.TRAINING)
        for seed in self.seeds:
            share = cost.seeds.get(seed["site"], 0.0)
            if seed["site"] in {slot.site.name for slot in training}:
                share += cost.incubation / len(training)
            if seed["fate"] in {"open", "kept"}:
                seed["flops"] += samples * share

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Charge a validation step: the network itself, and each look at another one."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.evaluated(trainer, growing(pl_module), batch)

    def evaluated(
        self,
        trainer: Trainer,
        module: GrowingModule,
        batch: Batch,
        sites: Collection[str] | None = None,
    ) -> None:
        """Charge a forward of the network, and one of each that differs in the seed at a site.

        Args:
            batch: as a step gets it.
            sites: None for every seed whose fate is open.
        """
        cost, samples = self._price(module, batch), _samples(batch, trainer)
        looks = {s: c for s, c in cost.looks.items() if sites is None or s in sites}
        self.flops["evaluation"] += samples * (cost.evaluation + sum(looks.values()))
        for seed in self.seeds:
            if seed["fate"] == "open":
                seed["flops"] += samples * looks.get(seed["site"], 0.0)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """Another structure has another price; births and ends are noted."""
        self._cost = None
        self.compiling.on_change(tick, f"{change.site} {change.event}")
        if change.event == Event.GERMINATE:
            entry = {"site": change.site, "blueprint": change.blueprint, "germinated_tick": tick}
            self.seeds.append({**entry, "fate": "open", "flops": 0.0})
        if change.event == ROLLBACK:
            self._reopen(change)
        fate = {str(Event.PRUNE): "pruned", str(Event.FOSSILIZE): "kept"}.get(change.event)
        for seed in self.seeds:
            if fate and seed["site"] == change.site and seed["fate"] == "open":
                seed["fate"] = fate

    def on_rewrap(self, trainer: Trainer, module: GrowingModule, seconds: float) -> None:
        """What following a change has cost rank 0."""
        self.rewraps["count"] += 1
        self.rewraps["seconds"] += seconds

    def charge(self, part: str, flops: float) -> None:
        """Put what was counted elsewhere on the bill."""
        self.flops[part] += flops

    def _reopen(self, change: Change) -> None:
        """A seed that was put back is open again, or gone."""
        own = [seed for seed in self.seeds if seed["site"] == change.site]
        if own:
            own[-1]["fate"] = "pruned" if change.stage_to == Stage.PRUNED else "open"

    def fates(self) -> dict[str, tuple[int, int]]:
        """Of each blueprint, how many of its seeds were kept and how many were pruned so far."""
        found = Counter((seed["blueprint"], seed["fate"]) for seed in self.seeds)
        names = {seed["blueprint"] for seed in self.seeds}
        return {name: (found[name, "kept"], found[name, "pruned"]) for name in sorted(names)}

    @property
    def total(self) -> float:
        """Everything that training has spent so far, in FLOPs."""
        return sum(self.flops.values())

    @property
    def elapsed(self) -> float:
        """Seconds of fitting so far, resumed runs included."""
        return self.wall_s + (time.monotonic() - self._since if self._since else 0.0)

    def report(self) -> dict[str, Any]:
        """The bill, as plain values."""
        lost = sum(seed["flops"] for seed in self.seeds if seed["fate"] == "pruned")
        flops = {**self.flops, "total": self.total, "pruned_seeds": lost}
        return {
            "flops": flops,
            "wall_s": {"fit": self.elapsed},
            "seeds": self.seeds,
            "rewraps": dict(self.rewraps),
            "compile": self.compiling.report(),
        }

    def _price(self, module: GrowingModule, batch: Batch) -> StepCost:
        if self._cost is None:
            inputs, targets = few(module.lay_out(batch))
            if module.model.twin is not None:
                inputs, targets = move_data_to_device((inputs, targets), torch.device("meta"))
            self._cost = step_cost(
                module.model, module.incubation, inputs, lambda out: module.task.loss(out, targets)
            )
        return self._cost

    def state_dict(self) -> dict[str, Any]:
        """The bill so far."""
        return {
            "flops": dict(self.flops),
            "wall_s": self.elapsed,
            "seeds": list(self.seeds),
            "rewraps": dict(self.rewraps),
            "compile": self.compiling.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on charging."""
        self.flops |= state_dict["flops"]
        self.wall_s = state_dict["wall_s"]
        self.seeds = [dict(seed) for seed in state_dict["seeds"]]
        self.rewraps = dict(state_dict.get("rewraps", self.rewraps))
        self.compiling.load_state_dict(state_dict.get("compile", []))


def _samples(batch: Batch, trainer: Trainer) -> int:
    return len(batch[1]) * trainer.world_size
