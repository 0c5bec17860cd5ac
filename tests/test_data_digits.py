"""Scikit-learn's digits: disjoint, fixed, stratified splits and checked facts."""

import pytest
import torch

from kasmina.data.digits import Digits


def rows(data: Digits) -> dict[str, list[tuple[float, ...]]]:
    data.setup("fit")
    data.setup("test")
    return {
        split: [tuple(image) for image in data.dataset(split).inputs.flatten(1).tolist()]
        for split in ("train", "val", "test")
    }


def test_the_splits_are_disjoint_and_together_all_digits() -> None:
    splits = rows(Digits())
    assert {name: len(images) for name, images in splits.items()} == {
        "train": 1097,
        "val": 300,
        "test": 400,
    }
    every = [image for images in splits.values() for image in images]
    assert len(set(every)) == len(every) == 1797  # no two of the digits are alike


def test_each_split_has_the_classes_in_proportion() -> None:
    data = Digits()
    rows(data)
    for split in ("train", "val", "test"):
        counts = data.dataset(split).targets.bincount(minlength=10)
        assert counts.max() - counts.min() <= 6


def test_the_test_split_does_not_change_with_the_size_of_validation() -> None:
    assert rows(Digits())["test"] == rows(Digits(val_size=100))["test"]


def test_another_split_seed_is_another_split() -> None:
    assert set(rows(Digits())["test"]) != set(rows(Digits(split_seed=1))["test"])


def test_images_are_fractions_of_full_ink() -> None:
    inputs, targets = Digits().example()
    assert inputs.shape == (2, 1, 8, 8)
    assert inputs.dtype == torch.float32
    assert targets.dtype == torch.int64
    data = Digits()
    data.setup("fit")
    assert data.dataset("train").inputs.aminmax() == (0, 1)


@pytest.mark.parametrize("wrong", ["num_classes", "in_channels", "image_size", "in_features"])
def test_a_wrong_declaration_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=rf"^data.{wrong} came as 7, but digits has {wrong} \d+$"):
        Digits(**{wrong: 7}).setup("fit")


@pytest.mark.parametrize("sizes", [(0, 400), (300, 0), (1000, 797), (-1, 10)])
def test_sizes_that_leave_a_split_empty_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="leave some of the 1797 digits for training"):
        Digits(val_size=sizes[0], test_size=sizes[1]).setup("fit")
