"""Layer normalisation of tokens."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.site import Kind, Site


class TokenNorm(nn.Module):
    """h + weight * (h - mean) / std + bias, over the features of each token.

    Ba et al. 2016, https://arxiv.org/abs/1607.06450; the zero weight of a residual branch: Goyal
    et al. 2017, https://arxiv.org/abs/1706.02677.

    Args:
        site: a sequence or a vector.

    Shape:
        (N, T, C) or (N, C) in, the same out.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("sequence", "vector")

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(site.width)
        nn.init.zeros_(self.norm.weight)  # identity at birth; its own gradient does not need it

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.norm(h)
        return out
