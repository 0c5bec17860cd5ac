"""Fixed splits, as pure functions of the labels and a seed."""

import torch
from torch import Tensor

from kasmina.rng import derive


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A permutation of which every stretch holds the classes in the proportions of the whole.

    Sample i of the n of its class is put at the fraction (i + 1/2) / n of the way, so that what
    comes before the fraction x holds n x of each class, to within half a sample. Splits cut from
    such an order are stratified, and one that grows keeps the samples that it had.

    Args:
        labels: (N,) integers.
        seed: of the order within each class.

    Shape:
        (N,) int64.
    """
    generator = torch.Generator().manual_seed(derive("split", seed))
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    counts = torch.unique(labels, return_counts=True)[1].tolist()
    places = torch.cat([(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in counts])
    return by_class[places.argsort(stable=True)]
