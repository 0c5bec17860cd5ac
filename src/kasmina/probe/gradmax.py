"""The gradient norm that the best new units can have."""

import torch
from torch import Tensor

from kasmina.probe.evidence import Evidence, Layer, Reads


class GradMax:
    """The sum of the largest squared singular values of E[G phi^T].

    Evci et al. 2022, "GradMax: Growing Neural Networks using Gradient Information",
    https://arxiv.org/abs/2201.05125: of k new units with weights of bounded norm on one side and
    zeros on the other, those along the first k singular vectors have the largest gradient norm,
    whose square is that sum for a bound of 1. There phi is the input of the layer below the new
    units; here it is what a newborn's body hands to its silent output layer.

    A kernel is a matrix of outputs by inputs times pixels. A factor for each channel is a
    diagonal map, so its singular values are the magnitudes of its gradient. A bias is the column
    of an input that is always 1. Singular values of several output layers count together.

    Args:
        units: k, at least 1.

    Raises:
        ValueError: no unit.
    """

    reads: Reads = "gradients"

    def __init__(self, *, units: int = 1) -> None:
        if units < 1:
            raise ValueError(f"gradmax takes at least 1 unit, not {units}")
        self.units = units

    def score(self, seen: Evidence) -> Tensor:
        """The sum over the first ``units`` squared singular values."""
        squared = torch.cat([_squared(layer) for layer in seen.layers], dim=1)
        return squared.topk(min(self.units, squared.shape[1])).values.sum(1)


def _squared(layer: Layer) -> Tensor:
    """Squared singular values, (R, min(O, I)), as eigenvalues of the smaller Gram matrix."""
    map_ = layer.matrix().double()
    wide = map_ if map_.shape[1] <= map_.shape[2] else map_.mT
    out: Tensor = torch.linalg.eigvalsh(wide @ wide.mT).clamp_min(0)
    return out
