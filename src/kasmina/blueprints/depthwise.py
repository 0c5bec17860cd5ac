"""Depthwise-separable convolution."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import conv_norm_relu, odd, silent
from kasmina.site import Kind, Site


class DepthwiseSeparable(nn.Module):
    """h + P relu(norm(D h)): D one filter a channel, P mixes the channels of each pixel.

    Howard et al. 2017, https://arxiv.org/abs/1704.04861, with GroupNorm for BatchNorm.

    Args:
        site: a map.
        kernel_size: of D in pixels, odd.

    Shape:
        (N, C, H, W) in and out.

    Raises:
        ValueError: an even kernel size.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site, *, kernel_size: int = 3) -> None:
        super().__init__()
        width = site.width
        self.depthwise = conv_norm_relu(width, width, odd(kernel_size), groups=width)
        self.pointwise = silent(nn.Conv2d(width, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.pointwise(self.depthwise(h))
        return out
