"""Augmentation: what it may change, and what it keeps."""

from itertools import product

import pytest
import torch
from torch import Tensor

from kasmina.data.augment import Augment

FORMATS = [torch.contiguous_format, torch.channels_last]
ALL = {"flip": True, "crop": 2, "cutout": 3}


def images(batch: int = 64, *, height: int = 6, width: int = 5) -> Tensor:
    """Pixels that all differ and none of which is 0."""
    return torch.arange(1.0, batch * 3 * height * width + 1).view(batch, 3, height, width)


@pytest.mark.parametrize(
    ("options", "memory_format", "dtype"),
    list(
        product(
            [{}, {"flip": True}, {"crop": 2}, {"cutout": 3}, ALL],
            FORMATS,
            [torch.float32, torch.bfloat16, torch.uint8],
        )
    ),
    ids=str,
)
def test_shape_dtype_and_memory_format_are_kept(
    options: dict[str, int], memory_format: torch.memory_format, dtype: torch.dtype
) -> None:
    batch = images().to(dtype).contiguous(memory_format=memory_format)
    out = Augment(**options)(batch)
    assert out.shape == batch.shape
    assert out.dtype == batch.dtype
    assert out.stride() == batch.stride()


@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_flip_mirrors_about_half_of_the_images(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    batch = images(200).contiguous(memory_format=memory_format)
    out = Augment(flip=True)(batch)
    same = (out == batch).flatten(1).all(1)
    mirrored = (out == batch.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_crop_is_one_of_the_shifts_of_the_padded_image(
    memory_format: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    batch = images(300).contiguous(memory_format=memory_format)
    out = Augment(crop=1)(batch)
    padded = torch.nn.functional.pad(batch, (1, 1, 1, 1))
    hits = torch.stack(
        [
            (out == padded[:, :, y : y + 6, x : x + 5]).flatten(1).all(1)
            for y, x in product(range(3), range(3))
        ]
    )
    assert (hits.sum(0) == 1).all()
    assert (hits.sum(1) > 10).all()  # each of the nine is drawn


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutout_blanks_one_rectangle_in_all_channels(size: int) -> None:
    torch.manual_seed(0)
    batch = images(200)
    out = Augment(cutout=size)(batch)
    gone = out == 0
    assert torch.equal(torch.where(gone, 0, batch), out)
    assert (gone == gone[:, :1]).all()
    rows, columns = gone[:, 0].any(2), gone[:, 0].any(1)
    assert torch.equal(gone[:, 0], rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).min() >= 1
    assert rows.sum(1).max() <= size
    assert size > 3 or rows.sum(1).max() == size


def test_the_same_generator_state_augments_alike() -> None:
    torch.manual_seed(3)
    one = Augment(**ALL)(images())
    torch.manual_seed(3)
    assert torch.equal(Augment(**ALL)(images()), one)
    assert not torch.equal(Augment(**ALL)(images()), one)


def test_eval_mode_is_the_identity_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    batch = images()
    assert Augment(**ALL).eval()(batch) is batch
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("options", [{"crop": -1}, {"cutout": -2}], ids=str)
def test_negative_pixels_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Augment(**options)
