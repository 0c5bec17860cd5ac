"""Datasets in memory that take a whole tensor of indices and return one batch."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, Tensor]


class Samples(Dataset[Batch]):
    """Inputs and targets as two tensors with one row a sample."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        assert len(inputs) == len(targets)
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> Batch:
        return self.inputs[indices], self.targets[indices]


class Windows(Dataset[Batch]):
    """Stretches of one sequence of tokens; the targets are the inputs shifted by one.

    Args:
        tokens: (number of tokens,), of any integer type.
        context: T, tokens of one window.
        stride: tokens from the beginning of one window to that of the next.

    Shape:
        indices (B,) to inputs and targets (B, T), both int64.
    """

    def __init__(self, tokens: Tensor, context: int, *, stride: int = 1) -> None:
        assert len(tokens) > context
        self.tokens, self.context, self.stride = tokens, context, stride

    def __len__(self) -> int:
        return (len(self.tokens) - self.context - 1) // self.stride + 1

    def __getitem__(self, indices: Tensor) -> Batch:
        places = indices[:, None] * self.stride + torch.arange(self.context + 1)
        stretch = self.tokens[places].long()
        return stretch[:, :-1], stretch[:, 1:]


class FixedBatches(Dataset[Batch]):
    """The batches of one order, by number: what a trainer that overfits walks in sequence."""

    def __init__(self, dataset: Dataset[Batch], order: Iterable[Tensor]) -> None:
        self.dataset, self.indices = dataset, list(order)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> Batch:
        return self.dataset[self.indices[number]]
