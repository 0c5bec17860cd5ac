"""A plain convolutional classifier: stages of blocks, a global average, a linear head.

Shapes: N batch, C channels, H height, W width, K classes.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from kasmina.layout import spatial_mean
from kasmina.suggest import unknown

Norm = Literal["batch", "group"]
Pooling = Literal["max", "avg", "stride"]


def _norm(kind: Norm, width: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(width)
    # groups of four channels or more: smaller ones come close to erasing what a channel says
    return nn.GroupNorm(math.gcd(width, max(1, width // 4)), width)


class Block(nn.Module):
    """Convolution, norm, ReLU: (N, C, H, W) to (N, ``width``, H / ``stride``, W / ``stride``).

    The convolution has no bias, since the norm that follows has one. Its weights are drawn as in
    He et al. 2015, https://arxiv.org/abs/1502.01852.
    """

    def __init__(
        self, in_width: int, width: int, *, kernel: int, norm: Norm, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_width, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.norm = _norm(norm, width)
        self.act = nn.ReLU()
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class Stage(nn.Module):
    """Blocks of one width, then half the height and width; ``stride`` halves in the first block."""

    def __init__(
        self, in_width: int, width: int, *, blocks: int, kernel: int, norm: Norm, pooling: Pooling
    ) -> None:
        super().__init__()
        first = 2 if pooling == "stride" else 1
        self.blocks = nn.ModuleList(
            Block(
                width if i else in_width,
                width,
                kernel=kernel,
                norm=norm,
                stride=1 if i else first,
            )
            for i in range(blocks)
        )
        self.pool = _pool(pooling)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.pool(x)
        return out


def _pool(kind: Pooling) -> nn.Module:
    if kind == "stride":
        return nn.Identity()
    pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return pool(2, ceil_mode=True)


class ConvNet(nn.Module):
    """Image classifier whose sites are its stages: ``stages.0``, ``stages.1``, ...

    Every stage halves height and width, rounded up, inside itself: what passes a site is what
    the next stage reads.

    Args:
        in_channels: channels of the image.
        num_classes: K.
        widths: channels of each stage; one stage per entry.
        blocks: blocks in each stage.
        kernel_sizes: odd, of the convolutions of each stage; None: 3. With 1 a stage sees no
            neighbours.
        norm: ``batch`` or ``group``.
        pooling: ``max``, ``avg``, or ``stride`` of the stage's first convolution.

    Shape:
        (N, ``in_channels``, H, W) to (N, K). Contiguous and channels_last both work.

    Raises:
        ValueError: no stage, no block, kernels that are even or not one a stage, or an unknown norm
            or pooling.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        widths: Sequence[int] = (8, 8),
        blocks: int = 1,
        kernel_sizes: Sequence[int] | None = None,
        norm: Norm = "batch",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        if norm not in get_args(Norm):
            raise ValueError(unknown("norm", norm, get_args(Norm)))
        if pooling not in get_args(Pooling):
            raise ValueError(unknown("pooling", pooling, get_args(Pooling)))
        if not widths or min(widths) < 1 or blocks < 1:
            raise ValueError(
                "a ConvNet has at least one stage, each of at least one channel and one block, "
                f"not widths {list(widths)} and blocks {blocks}"
            )
        kernels = list(kernel_sizes or [3] * len(widths))
        if len(kernels) != len(widths) or any(size < 1 or size % 2 == 0 for size in kernels):
            raise ValueError(
                f"kernel_sizes are odd, one for each of {len(widths)} stages, not {kernels}"
            )
        ins = [in_channels, *widths[:-1]]
        self.stages = nn.ModuleList(
            Stage(i, o, blocks=blocks, kernel=k, norm=norm, pooling=pooling)
            for i, o, k in zip(ins, widths, kernels, strict=True)
        )
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        out: Tensor = self.head(spatial_mean(x))
        return out
