"""How a seed learns behind the host before it speaks.

In every mode the host's forward, gradients, buffers and random state are bit for bit those of no
seed, and one backward serves both, so that synchronisation, accumulation, clipping and loss
scaling work as usual.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from kasmina.graft import Grafted, call
from kasmina.rng import undisturbed
from kasmina.slot import SeedSlot
from kasmina.stage import Stage

LossOf = Callable[[Any], Tensor]
"""The task loss of what the network returned, a 0-d tensor."""


class Incubation(Protocol):
    """A mode of incubation."""

    listens: bool
    """Whether slots in training hear the loss in the main pass."""
    interval: int
    """Steps from one step that trains the seeds to the next."""

    def loss(self, model: Grafted, inputs: Any, loss_of: LossOf, step: int) -> Tensor | None:
        """What to add to the task loss after the main forward; None adds nothing."""
        ...


class Shadow:
    """A second pass in which the seeds in training are live at alpha 1 and the host stands still.

    Host parameters are detached and host buffers are copies, so the loss reaches the seeds alone:
    they train for the loss that they will face. It costs a forward and the part of a backward
    that lies above the first such seed.

    Args:
        interval: take the pass at every ``interval``-th step; more costs less and trains less. At 3
            digits grows as well as at 1, for about a third of the cost.

    Raises:
        ValueError: an interval below 1.
    """

    listens = False

    def __init__(self, *, interval: int = 3) -> None:
        if interval < 1:
            raise ValueError(f"shadow needs an interval of at least 1 step, not {interval}")
        self.interval = interval

    def loss(self, model: Grafted, inputs: Any, loss_of: LossOf, step: int) -> Tensor | None:
        """The task loss of the network with the seeds in training blended in fully."""
        training = model.at(Stage.TRAINING)
        if not training or step % self.interval:
            return None
        alphas = {slot.site.name: 1.0 for slot in training}
        pass_ = _Pass(model, alphas)
        with undisturbed(training[0].alpha.device):
            tensors = {f"model.{name}": tensor for name, tensor in still(model, training).items()}
            return loss_of(torch.func.functional_call(pass_, tensors, (inputs,)))


class StraightThrough:
    """The host's value forward, its gradient to the seed as well (Bengio et al. 2013).

    https://arxiv.org/abs/1308.3432. The gradient does not depend on what the seed puts out, so
    without a penalty the seed runs away along a line (``ridge=0``, kept for comparison).

    Args:
        ridge: weight of ||seed(h) - h||^2 / ||h||^2, at least 0.

    Raises:
        ValueError: a negative ridge.
    """

    listens = True
    interval = 1

    def __init__(self, *, ridge: float = 0.0) -> None:
        if ridge < 0:
            raise ValueError(f"a ridge is at least 0, not {ridge}")
        self.ridge = ridge

    def loss(self, model: Grafted, inputs: Any, loss_of: LossOf, step: int) -> Tensor | None:
        """The penalty that the main pass left behind in the slots."""
        penalties = [slot.penalty for slot in model.at(Stage.TRAINING) if slot.penalty is not None]
        for slot in model:
            slot.penalty = None
        return self.ridge * torch.stack(penalties).sum() if penalties and self.ridge else None


class _Pass(torch.nn.Module):
    """The model as ``functional_call`` wants it: one module, called with the inputs."""

    def __init__(self, model: Grafted, alphas: dict[str, float]) -> None:
        super().__init__()
        self.model = model
        self.alphas = alphas

    def forward(self, inputs: Any) -> Any:
        return call(self.model, inputs, alphas=self.alphas)


def still(model: Grafted, live: list[SeedSlot]) -> dict[str, Tensor]:
    """The model's tensors with everything outside ``live`` detached, buffers as copies."""
    free = {id(tensor) for slot in live for tensor in (*slot.parameters(), *slot.buffers())}
    frozen = {name: p.detach() for name, p in model.named_parameters() if id(p) not in free}
    copies = {name: b.clone() for name, b in model.named_buffers() if id(b) not in free}
    return {**frozen, **copies}
