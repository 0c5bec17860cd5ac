"""Low-rank update of the features."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import silent
from kasmina.site import Kind, Site


class LowRank(nn.Module):
    """h + scale * B A h: A to ``rank`` features, B back.

    Hu et al. 2021, https://arxiv.org/abs/2106.09685. There the update is merged into a weight;
    here it acts on what the site puts out.

    Args:
        site: a sequence or a vector.
        rank: features between A and B, at least 1.
        scale: of the update (the paper's alpha / r), above 0.

    Shape:
        (N, T, C) or (N, C) in, the same out.

    Raises:
        ValueError: a rank below 1, or a scale that is not positive.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("sequence", "vector")

    def __init__(self, site: Site, *, rank: int = 8, scale: float = 1.0) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"lora has a rank of at least 1, not {rank}")
        if not scale > 0:
            raise ValueError(f"lora's scale is above 0, not {scale}")
        self.scale = scale
        self.a = nn.Linear(site.width, rank, bias=False)
        self.b = silent(nn.Linear(rank, site.width, bias=False))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.scale * self.b(self.a(h))
        return out
