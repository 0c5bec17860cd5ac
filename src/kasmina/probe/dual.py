"""The dual norm of the step that the optimizer in use takes."""

from torch import Tensor

from kasmina.probe.evidence import Evidence, Reads
from kasmina.suggest import unknown

NORMS = {
    **dict.fromkeys(("SGD", "ASGD"), "l2_squared"),
    **dict.fromkeys(("Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad", "Rprop"), "l1"),
}
"""By optimizer. The first step of the second row moves each weight by a length that does not
depend on its gradient."""


class Dual:
    """What the first step takes off the loss, to first order, for each unit of learning rate.

    A step d of length lr in the optimizer's own norm lowers the loss by at most lr times the dual
    norm of the gradient. SGD steps along the gradient g itself, which lowers it by lr ||g||_2^2;
    Adam's first step is lr sign(g), which lowers it by lr ||g||_1. See Bernstein & Newhouse 2024,
    "Old Optimizer, New Norm", https://arxiv.org/abs/2409.20325.

    Args:
        optimizer: import path or name of an optimizer of torch.

    Raises:
        ValueError: an optimizer whose norm is not known here.
    """

    reads: Reads = "gradients"

    def __init__(self, *, optimizer: str) -> None:
        name = optimizer.rpartition(".")[2]
        if name not in NORMS:
            raise ValueError(unknown("optimizer of the dual criterion", name, NORMS))
        self.norm = NORMS[name]

    def direction(self, gradient: Tensor) -> Tensor:
        """Of the first step, for a learning rate of 1: the gradient itself, or its sign."""
        return gradient if self.norm == "l2_squared" else gradient.sign()

    def score(self, seen: Evidence) -> Tensor:
        """||g||_2^2 or ||g||_1 over all output weights."""
        flat = [g.double().flatten(1) for layer in seen.layers for g in layer.gradients.values()]
        parts = [each.square() if self.norm == "l2_squared" else each.abs() for each in flat]
        return sum((part.sum(1) for part in parts), start=flat[0].new_zeros(seen.estimates))
