"""What several blueprints share: the silent last layer, the normalisation, the options' checks."""

from typing import TypeVar

from torch import nn

from kasmina.layout import GroupNorm

Projection = TypeVar("Projection", nn.Linear, nn.Conv2d)

MIN_HIDDEN = 4
"""With fewer channels one ReLU that is off on every sample leaves little or nothing to learn."""


def silent(layer: Projection) -> Projection:
    """The layer with zero weight and bias: its seed adds nothing at birth.

    Only ever the last layer: its own gradient needs no weight of its own, so it moves at the first
    step and the layers before it at the second. Before a normalisation or a ReLU zeros would
    have zero gradient for ever. Zhang et al. 2019, https://arxiv.org/abs/1901.09321.
    """
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv_norm_relu(channels: int, out: int, kernel_size: int, *, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps H and W, GroupNorm, ReLU; no bias, the norm would take it out."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size, padding=padding, groups=groups, bias=False),
        group_norm(out),
        nn.ReLU(),
    )


def group_norm(channels: int, num_groups: int | None = None) -> GroupNorm:
    """GroupNorm; by itself with at most 32 groups (the paper's) of at least 4 channels.

    Raises:
        ValueError: groups that do not divide the channels.
    """
    if num_groups is None:
        num_groups = largest_divisor(channels, min(32, channels // 4))
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{num_groups} groups do not divide {channels} channels")
    return GroupNorm(num_groups, channels)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``; at least 1."""
    return next((d for d in range(min(number, limit), 0, -1) if number % d == 0), 1)


def hidden_width(width: int, ratio: float) -> int:
    """``ratio`` times the width, rounded, at least ``MIN_HIDDEN``.

    Raises:
        ValueError: a ratio that is not positive.
    """
    if not ratio > 0:
        raise ValueError(f"a blueprint's ratio is above 0, not {ratio}")
    return max(MIN_HIDDEN, round(width * ratio))


def odd(kernel_size: int) -> int:
    """The kernel size, if it has a middle.

    Raises:
        ValueError: it is even or below 1.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"a blueprint's kernel_size is odd and at least 1, not {kernel_size}")
    return kernel_size
