"""Datasets that turn a tensor of indices into one batch."""

import pytest
import torch

from kasmina.data.samples import FixedBatches, Samples, Windows


def test_samples_keep_input_and_target_together() -> None:
    samples = Samples(torch.arange(12).view(6, 2), torch.arange(6) * 10)
    inputs, targets = samples[torch.tensor([4, 0])]
    assert inputs.tolist() == [[8, 9], [0, 1]]
    assert targets.tolist() == [40, 0]
    assert len(samples) == 6


@pytest.mark.parametrize("length", range(4, 14))
@pytest.mark.parametrize("stride", [1, 3])
def test_windows_are_all_that_fit_and_targets_are_one_token_on(length: int, stride: int) -> None:
    windows = Windows(torch.arange(length, dtype=torch.uint8), 3, stride=stride)
    inputs, targets = windows[torch.arange(len(windows))]
    assert inputs.tolist() == [[s, s + 1, s + 2] for s in range(0, length - 3, stride)]
    assert torch.equal(targets, inputs + 1)
    assert inputs.dtype == targets.dtype == torch.int64


def test_fixed_batches_walk_one_order() -> None:
    samples = Samples(torch.arange(5), torch.arange(5))
    fixed = FixedBatches(samples, [torch.tensor([3, 1]), torch.tensor([0])])
    assert [fixed[number][0].tolist() for number in range(len(fixed))] == [[3, 1], [0]]
