"""Param groups and learning rates of a network whose parameters come and go.

One group for the host, one for each seed, found by name. The schedule is read from each group
(when it was born, what it started with), so that a newborn has its own warm-up and nothing has to
be rebuilt when a group is added: torch's own schedulers raise there or give a newborn the phase
of the host.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from kasmina.graft import Grafted
from kasmina.recipe import Recipe
from kasmina.suggest import unknown

HOST = "host"

SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""Share of the first learning rate at progress in [0, 1] of a group's life."""


@dataclass(frozen=True)
class Curve:
    """The learning rate over a group's life, from its birth to the end of the run.

    Args:
        shape: a key of ``SHAPES``.
        warmup_steps: optimizer steps of linear rise before it, also for newborns.
        floor: share of the first learning rate that is never gone below, in [0, 1].

    Raises:
        ValueError: an unknown shape or a negative length.
    """

    shape: str = "cosine"
    warmup_steps: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(unknown("learning rate curve", self.shape, SHAPES))
        if self.warmup_steps < 0 or not 0 <= self.floor <= 1:
            raise ValueError("warmup_steps is at least 0 and floor lies in [0, 1]")

    def at(self, step: int, total: float, spent: float = 0.0) -> float:
        """The factor at ``step`` of ``total`` optimizer steps of the group's life.

        Args:
            spent: share of that life that is over by another measure than steps; the end of the
                run is wherever the first of the two arrives at 1.
        """
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        span = max(1, total - self.warmup_steps)
        progress = min(1.0, max(spent, max(0, step - self.warmup_steps) / span))
        return warm * (self.floor + (1 - self.floor) * SHAPES[self.shape](progress))


class GroupScheduler(LRScheduler):
    """Sets each group's learning rate by its own age.

    Args:
        curve: the shape of the way.
        total_steps: optimizer steps of the whole run, inf where it has no end.
        spent: share of the run's compute that is spent, in [0, 1]; None where it has no limit.

    Raises:
        ValueError: a curve that falls towards the end of a run that has none.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        curve: Curve,
        *,
        total_steps: float,
        spent: Callable[[], float] | None = None,
    ) -> None:
        if math.isinf(total_steps) and spent is None and curve.shape != "constant":
            raise ValueError(
                f"a {curve.shape} learning rate falls until the run ends, and this run has no end; "
                "possible: trainer.max_epochs, trainer.max_steps, callbacks.budget.flops, or a "
                "constant one"
            )
        self.curve = curve
        self.total_steps = total_steps
        self.spent = spent or (lambda: 0.0)
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """The learning rate of every group now."""
        return [self._lr(group) for group in self.optimizer.param_groups]

    def settle(self, group: dict[str, Any]) -> None:
        """Give a group that has just been added its first learning rate."""
        group["lr"] = self._lr(group)

    def _lr(self, group: dict[str, Any]) -> float:
        born = group.setdefault("born", 0)
        first = group.setdefault("initial_lr", group["lr"])
        before, now = group.setdefault("born_spent", 0.0), self.spent()
        life = (now - before) / (1.0 - before) if before < 1.0 else 1.0
        value: float = first * self.curve.at(self.last_epoch - born, self.total_steps - born, life)
        return value

    def state_dict(self) -> dict[str, Any]:
        """Plain values; what belongs to a group is in the optimizer's own state."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the count of steps."""
        self.__dict__.update(state_dict)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


@dataclass(frozen=True)
class SeedOptions:
    """What a seed's param group has of its own; None takes the host's value.

    Args:
        lr: first learning rate.
        weight_decay: weight decay.
    """

    lr: float | None = None
    weight_decay: float | None = None

    def own(self) -> dict[str, float]:
        """The options that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}


def make_optimizer(
    model: Grafted, recipe: Recipe, seeds: SeedOptions, order: list[str] | None = None
) -> Optimizer:
    """The optimizer over host and seeds.

    Args:
        order: names of the groups as a checkpoint had them; a wrong order would load silently.
    """
    names = order or [HOST, *(slot.site.name for slot in model if slot.seed is not None)]
    groups = [
        {"name": HOST, "params": list(model.host.parameters())}
        if name == HOST
        else {"name": name, "params": list(model.slot(name).parameters()), **seeds.own()}
        for name in names
    ]
    found: Optimizer = recipe.build(groups)
    return found


def add_group(
    optimizer: Optimizer, scheduler: GroupScheduler | None, *, name: str, seed: nn.Module, own: Any
) -> None:
    """Give a newborn its group."""
    group = {"name": name, "params": list(seed.parameters()), **own}
    group |= {"initial_lr": own.get("lr", optimizer.defaults["lr"])}
    group |= {"born": 0 if scheduler is None else scheduler.last_epoch}
    group |= {"born_spent": 0.0 if scheduler is None else scheduler.spent()}
    optimizer.add_param_group(group)
    if scheduler is not None:
        scheduler.settle(optimizer.param_groups[-1])


def drop_group(optimizer: Optimizer, name: str) -> None:
    """Take a group out, with all state and gradients of its parameters."""
    # by index: list.remove compares groups, and so tensors
    index = next(i for i, group in enumerate(optimizer.param_groups) if group["name"] == name)
    for parameter in optimizer.param_groups[index]["params"]:
        optimizer.state.pop(parameter, None)
        parameter.grad = None
    del optimizer.param_groups[index]


def group_names(optimizer: Optimizer) -> list[str]:
    """Names of the groups in their order."""
    return [group["name"] for group in optimizer.param_groups]
