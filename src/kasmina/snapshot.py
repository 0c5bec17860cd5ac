"""Copies of a run in memory, to go back to when training breaks."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer

from kasmina import topology
from kasmina.callbacks.rng import random_states, set_random_states
from kasmina.graft import Grafted
from kasmina.lit import GrowingModule
from kasmina.optim import HOST


@dataclass(frozen=True)
class Snapshot:
    """Everything that training changes, as copies on the CPU.

    Weights and buffers, the slots with their seeds and alphas, optimizer with param groups,
    learning rates, loss scaler, what was measured of seeds, and the random states of torch, its
    GPU, numpy and Python. What counts on stays out: steps, epochs, the data, the bill.

    Args:
        step: optimizer steps done.
        validated: a validation found the network sound.
        parts: the copies, by name.
    """

    step: int
    validated: bool
    parts: dict[str, Any]

    @classmethod
    def take(
        cls, trainer: Trainer, module: GrowingModule, *, validated: bool = False
    ) -> "Snapshot":
        """Copy the run as it stands between two optimizer steps."""
        with torch.inference_mode(False):  # validation ends inside of it
            parts = {
                "weights": module.state_dict(),
                "topology": topology.topology(module.model),
                "contributions": module.contributions,
                "seed_losses": module.seed_losses,
                "optimizers": [each.state_dict() for each in trainer.optimizers],
                "schedulers": [
                    each.scheduler.state_dict() for each in trainer.lr_scheduler_configs
                ],
                "precision": trainer.precision_plugin.state_dict(),
                "random": random_states(),
            }
            return cls(trainer.global_step, validated, _copied(parts))

    def restore(self, trainer: Trainer, module: GrowingModule) -> None:
        """Put the run back, bit for bit, as often as one likes.

        Seeds are made anew, so the strategy has to be told (``strategies.commit_topology``).
        """
        with torch.inference_mode(False), torch.no_grad():
            parts = _copied(self.parts)  # an optimizer on the CPU would take the tensors as its own
            topology.restore(module.model, parts["topology"])
            module.load_state_dict(parts["weights"])
            module.contributions = parts["contributions"]
            module.seed_losses = parts["seed_losses"]
            for slot in module.model:
                slot.train(module.model.training)
            for optimizer, saved in zip(trainer.optimizers, parts["optimizers"], strict=True):
                _regroup(optimizer, module.model, saved["param_groups"])
                optimizer.load_state_dict(saved)
                optimizer.zero_grad()
            configs = zip(trainer.lr_scheduler_configs, parts["schedulers"], strict=True)
            for config, saved in configs:
                config.scheduler.load_state_dict(saved)
            trainer.precision_plugin.load_state_dict(parts["precision"])
            set_random_states(parts["random"])


class Rolling:
    """The last snapshots, oldest first.

    Args:
        every: optimizer steps from one to the next.
        keep: how many; the last one that a validation found sound stays beyond them.

    Raises:
        ValueError: less than one step, or less than one snapshot.
    """

    def __init__(self, *, every: int = 50, keep: int = 2) -> None:
        if min(every, keep) < 1:
            raise ValueError(f"snapshots: every and keep are at least 1, not {every} and {keep}")
        self.every = every
        self.keep = keep
        self.kept: list[Snapshot] = []

    def due(self, step: int) -> bool:
        """Whether one is to be taken after this optimizer step."""
        return step % self.every == 0

    def add(self, snapshot: Snapshot) -> None:
        """Keep it, and drop those that are too many."""
        every = [*self.kept, snapshot]
        latest, older = every[-self.keep :], every[: -self.keep]
        if not any(each.validated for each in latest):
            latest = [each for each in older if each.validated][-1:] + latest
        self.kept = latest

    def validate(self, step: int) -> bool:
        """Whether the newest is of this step; if so, it now counts as validated."""
        if not self.kept or self.kept[-1].step != step:
            return False
        self.add(replace(self.kept.pop(), validated=True))
        return True

    def back(self, sound: int) -> Snapshot:
        """The newest that is not younger than step ``sound``, else the oldest.

        It and the younger ones are given up, so that trouble that comes again leads further back;
        the oldest stays.
        """
        until = max(1, sum(each.step <= sound for each in self.kept))
        chosen = self.kept[until - 1]
        self.kept = self.kept[: until - 1] or [chosen]
        return chosen


def finite(module: GrowingModule) -> bool:
    """Whether every parameter is; a nan that has come in with the last step has no loss yet."""
    weights = [p.detach() for p in module.parameters() if p.is_floating_point()]
    largest = torch.nn.utils.get_total_norm(weights, norm_type=math.inf)
    return bool(largest.isfinite())


def _regroup(optimizer: Optimizer, model: Grafted, groups: list[dict[str, Any]]) -> None:
    """Groups of these names over the parameters that are here now."""
    optimizer.state.clear()
    optimizer.param_groups.clear()
    for name in (group["name"] for group in groups):
        owner = model.host if name == HOST else model.slot(name)
        optimizer.add_param_group({"name": name, "params": list(owner.parameters())})


def _copied(value: Any) -> Any:
    """The same plain containers around copies of the tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value
