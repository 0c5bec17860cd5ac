"""The error and the bias of a score, from micro-batches.

A score is a function of the mean gradient, and not a mean itself. The jackknife leaves out one
micro-batch at a time and asks for the score of the rest, whatever the criterion (Quenouille 1956;
Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11). The standard error of the
scores of single micro-batches would be that of another quantity: noise adds to every norm, the
more the fewer the samples. What is left of that in the score is its bias, which the jackknife
takes off a squared l2 norm exactly (micro-batches being equal in size) and off others to the
first order; an l1 norm has a kink at 0, so there the larger part stays where gradients are noise.
"""

import torch
from torch import Tensor


def estimates(gradients: Tensor, sizes: Tensor) -> Tensor:
    """The mean gradient over all micro-batches, then the means with one of them left out.

    Shape: gradients (K, \\*shape) and sizes (K,), in samples; (1 + K, \\*shape) out.
    """
    weight = sizes.to(gradients).reshape(-1, *[1] * (gradients.dim() - 1))
    weighted = gradients * weight
    total = weighted.sum(0, keepdim=True)
    return torch.cat([total / weight.sum(), (total - weighted) / (weight.sum() - weight)])


def summary(scores: Tensor) -> tuple[float, float, float]:
    """Score, standard error and bias of the scores of ``estimates``. Shape: (1 + K,).

    Error and bias are 0 where nothing was left out, since nothing was measured.
    """
    count = len(scores) - 1
    if count < 1:
        return float(scores[0]), 0.0, 0.0
    value, without = scores[0], scores[1:]
    error = ((count - 1) / count * (without - without.mean()).square().sum()).sqrt()
    return float(value), float(error), float((count - 1) * (without.mean() - value))
