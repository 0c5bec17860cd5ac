"""Bottleneck: a convolution in fewer channels."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import conv_norm_relu, hidden_width, odd, silent
from kasmina.site import Kind, Site


class Bottleneck(nn.Module):
    """h + U relu(norm(K relu(norm(D h)))): D to fewer channels, K over pixels, U back.

    He et al. 2015, https://arxiv.org/abs/1512.03385, with GroupNorm for BatchNorm.

    Args:
        site: a map.
        ratio: hidden channels per channel.
        kernel_size: of K in pixels, odd.

    Shape:
        (N, C, H, W) in and out.

    Raises:
        ValueError: a ratio that is not positive, or an even kernel size.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site, *, ratio: float = 0.25, kernel_size: int = 3) -> None:
        super().__init__()
        hidden = hidden_width(site.width, ratio)
        self.down = conv_norm_relu(site.width, hidden, 1)
        self.mix = conv_norm_relu(hidden, hidden, odd(kernel_size))
        self.up = silent(nn.Conv2d(hidden, site.width, 1))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.up(self.mix(self.down(h)))
        return out
