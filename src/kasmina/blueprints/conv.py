"""Plain convolutions; small, light and heavy are three configs of this one class."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import conv_norm_relu, hidden_width, odd, silent
from kasmina.site import Kind, Site


class Conv(nn.Module):
    """h + K relu(norm(K_n ... relu(norm(K_1 h)))), a residual block without the last ReLU.

    He et al. 2016, https://arxiv.org/abs/1603.05027, with GroupNorm for BatchNorm.

    Args:
        site: a map.
        ratio: hidden channels per channel.
        layers: n, the hidden convolutions, at least 1.
        kernel_size: of every K in pixels, odd.

    Shape:
        (N, C, H, W) in and out.

    Raises:
        ValueError: a ratio that is not positive, no layer, or an even kernel size.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(
        self, site: Site, *, ratio: float = 1.0, layers: int = 1, kernel_size: int = 3
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"conv has at least 1 hidden layer, not {layers}")
        hidden, size = hidden_width(site.width, ratio), odd(kernel_size)
        widths = [site.width] + [hidden] * layers
        self.hidden = nn.Sequential(
            *(conv_norm_relu(width, hidden, size) for width in widths[:-1]),
        )
        self.last = silent(nn.Conv2d(hidden, site.width, size, padding=size // 2))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.last(self.hidden(h))
        return out
