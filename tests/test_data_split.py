"""Stratified order: a permutation of which every prefix has the classes in proportion."""

import pytest
import torch

from kasmina.data.split import stratified_order

COUNTS = (40, 10, 25, 1)
LABELS = torch.repeat_interleave(torch.tensor([3, 0, 7, 5]), torch.tensor(COUNTS))[
    torch.randperm(sum(COUNTS), generator=torch.Generator().manual_seed(0))
]


@pytest.mark.parametrize("seed", range(3))
def test_every_prefix_has_of_each_class_about_its_share(seed: int) -> None:
    order = stratified_order(LABELS, seed)
    assert order.sort().values.tolist() == list(range(len(LABELS)))
    for length in range(len(LABELS) + 1):
        prefix = LABELS[order[:length]]
        for label in LABELS.unique():
            share = length * (label == LABELS).sum() / len(LABELS)
            assert abs((prefix == label).sum() - share) <= 1


def test_equally_many_classes_are_cut_to_within_one_sample() -> None:
    labels = torch.arange(10).repeat(18)
    order = stratified_order(labels, 0)
    for length in range(len(labels) + 1):
        counts = labels[order[:length]].bincount(minlength=10)
        assert counts.max() - counts.min() <= 1


def test_the_order_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = stratified_order(LABELS, 0)
    torch.manual_seed(2)
    assert torch.equal(stratified_order(LABELS, 0), one)
    assert not torch.equal(stratified_order(LABELS, 1), one)
