"""What a criterion sees of a candidate, and what it answers.

Letters: R estimates, O outputs and I inputs of a layer.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

Reads = Literal["nothing", "gradients", "curvature"]
"""What has to be measured for a criterion, each more than the one before it."""


@dataclass(frozen=True)
class Curvature:
    """The empirical Fisher matrix of one layer's output weights, a sample.

    Args:
        inputs, outputs: Kronecker factors, (I, I) and (O, O), of a layer that is one linear map;
            None of any other.
        squares: the diagonal by parameter, where there are no factors.
    """

    inputs: Tensor | None = None
    outputs: Tensor | None = None
    squares: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """Gradients of the output weights that one module of a newborn holds.

    Args:
        gradients: by parameter, (R, \\*shape): from all micro-batches, then with each left out.
        curvature: where the criterion reads it.
    """

    gradients: dict[str, Tensor]
    curvature: Curvature | None = None

    def matrix(self) -> Tensor:
        """E[G phi^T] as a linear map (R, O, I).

        A kernel is flattened over its inputs and pixels; a factor for each channel is a diagonal;
        a bias is one more column, for an input that is always 1.
        """
        return torch.cat([_map(name, each) for name, each in self.gradients.items()], dim=2)


def _map(name: str, gradient: Tensor) -> Tensor:
    if gradient.dim() == 1:
        return gradient[:, None, None]
    if gradient.dim() == 2:
        return gradient[:, :, None] if name == "bias" else torch.diag_embed(gradient)
    return gradient.flatten(2)


@dataclass(frozen=True)
class Evidence:
    """A candidate: where it would grow, what, and what the loss asks of its output weights.

    Args:
        births: of the slot so far.
        estimates: R, the estimates that are judged side by side.
    """

    site: str
    blueprint: str
    births: int
    estimates: int
    layers: tuple[Layer, ...] = ()


class Criterion(Protocol):
    """A way to judge candidates."""

    reads: Reads

    def score(self, seen: Evidence) -> Tensor:
        """The more, the better, for each estimate; (R,) in float64."""
        ...
