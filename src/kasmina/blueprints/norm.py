"""Group normalisation of a feature map."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import group_norm
from kasmina.site import Kind, Site


class Norm(nn.Module):
    """h + weight * (h - mean) / std + bias, over groups of channels.

    Wu & He 2018, https://arxiv.org/abs/1803.08494; the zero weight of a residual branch: Goyal et
    al. 2017, https://arxiv.org/abs/1706.02677.

    Args:
        site: a map.
        num_groups: groups of channels, a divisor of the width; None: as ``parts.group_norm``.

    Shape:
        (N, C, H, W) in and out.

    Raises:
        ValueError: groups that do not divide the width.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site, *, num_groups: int | None = None) -> None:
        super().__init__()
        self.norm = group_norm(site.width, num_groups)
        nn.init.zeros_(self.norm.weight)  # identity at birth; its own gradient does not need it

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.norm(h)
        return out
