"""Random data: shapes, a rule that can be learnt, splits that share it."""

import math

import pytest
import torch

from kasmina.data.synthetic import Synthetic, SyntheticTokens

SIZES = {"train_size": 400, "val_size": 200, "test_size": 100}


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"in_features": 7}, (7,)),
        ({"in_features": 48, "in_channels": 3, "image_size": 4}, (3, 4, 4)),
        ({"in_features": 30, "in_channels": 2, "image_size": [5, 3]}, (2, 5, 3)),
    ],
    ids=str,
)
def test_samples_have_any_shape(options: dict[str, object], shape: tuple[int, ...]) -> None:
    data = Synthetic(**options, **SIZES)
    inputs, targets = data.example()
    assert inputs.shape == (2, *shape)
    assert targets.shape == (2,)
    assert len(data.dataset("train")) == 400


def test_one_teacher_labels_all_splits() -> None:
    data = Synthetic(in_features=6, num_classes=4, train_size=5000, val_size=500)
    data.setup("fit")
    train, val = data.dataset("train"), data.dataset("val")
    design = torch.nn.functional.one_hot(train.targets).float()
    student = torch.linalg.lstsq(train.inputs, design).solution
    accuracy = ((val.inputs @ student).argmax(1) == val.targets).float().mean()
    assert accuracy > 0.8  # chance is a quarter, and so is a student of another teacher
    other = Synthetic(in_features=6, num_classes=4, val_size=500, split_seed=1)
    other.setup("fit")
    elsewhere = other.dataset("val")
    assert ((elsewhere.inputs @ student).argmax(1) == elsewhere.targets).float().mean() < 0.7


def test_the_splits_hold_different_samples() -> None:
    for data in (Synthetic(in_features=6, **SIZES), SyntheticTokens(**SIZES)):
        data.setup("fit")
        data.setup("test")
        first = [data.dataset(split).inputs[:100] for split in ("train", "val", "test")]
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first[1], first[2])


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_tokens_follow_a_rule_but_for_the_noise(noise: float) -> None:
    data = SyntheticTokens(vocab_size=50, context=20, noise=noise, train_size=2000)
    data.setup("fit")
    inputs, targets = data.dataset("train")[torch.arange(2000)]
    assert inputs.shape == targets.shape == (2000, 20)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    pairs = torch.zeros(50, 50).index_put(
        (inputs.flatten(), targets.flatten()), torch.ones(()), accumulate=True
    )
    followed = pairs.max(1).values.sum() / pairs.sum()
    assert followed.item() == pytest.approx(1 - noise + noise / 50, abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 3}, "an image needs data.in_channels and data.image_size"),
        ({"image_size": 3}, "an image needs data.in_channels and data.image_size"),
        (
            {"in_channels": 3, "image_size": 5, "in_features": 12},
            "data.in_features came as 12, but an image of 3 x 5 x 5 has in_features 75",
        ),
    ],
    ids=str,
)
def test_half_an_image_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Synthetic(**options)


@pytest.mark.parametrize("noise", [-0.1, 1.1, math.nan])
def test_noise_is_a_share(noise: float) -> None:
    with pytest.raises(ValueError, match=r"noise is a share in \[0, 1\]"):
        SyntheticTokens(noise=noise)
