"""What a race is given: data, loss, optimizer, and the recipes of seeds."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kasmina.graft import Grafted
from kasmina.recipe import Recipe
from kasmina.rng import derive
from kasmina.tasks import predictions, sample_losses

Batch = tuple[Any, Any]


@dataclass(frozen=True)
class Terms:
    """The same for every candidate.

    Args:
        blueprints: recipes by name.
        operator: recipe of the blend operator.
        run_seed: from which seeds, and all that is drawn in the race, come.
        tick: of the race.
        batch: the training batch of a step, by number, drawn from the CPU's and the device's
            generators alone.
        held_out: batches that no candidate trains on.
        loss: maps (outputs, targets) to a 0-d mean loss; candidates train on it.
        optimizer: makes a seed's optimizer.
        continued: the run's optimizer as it stands, for a copy of the network.
        context: around every forward: mixed precision.
        judged: the loss that held-out samples are judged by, where it is not that of training.
    """

    blueprints: Mapping[str, Recipe]
    operator: Recipe
    run_seed: int
    tick: int
    batch: Callable[[int], Batch]
    held_out: Sequence[Batch]
    loss: Callable[[Any, Tensor], Tensor]
    optimizer: Callable[[list[nn.Parameter]], Optimizer]
    continued: Callable[[Grafted], Optimizer]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    judged: Callable[[Any, Tensor], Tensor] | None = None

    def draw(self, device: torch.device, what: str, step: int) -> None:
        """All that is drawn from here on comes from the run's seed, the tick and the step."""
        seed = derive("race", self.run_seed, self.tick, what, step)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    def losses(self, outputs: object, targets: Tensor) -> Tensor:
        """The loss of every sample by itself. Shape: (N,), float64 on the CPU."""
        loss = self.judged or self.loss
        return sample_losses(loss, predictions(outputs).float(), targets).double().cpu()
