"""Token-wise perceptron, a transformer's feed-forward block."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.parts import hidden_width, silent
from kasmina.site import Kind, Site


class MLP(nn.Module):
    """h + W2 gelu(W1 norm(h)), each token by itself.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; GELU: Hendrycks & Gimpel 2016,
    https://arxiv.org/abs/1606.08415; norm first: Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745.

    Args:
        site: a sequence or a vector.
        ratio: hidden features per feature.

    Shape:
        (N, T, C) or (N, C) in, the same out.

    Raises:
        ValueError: a ratio that is not positive.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("sequence", "vector")

    def __init__(self, site: Site, *, ratio: float = 4.0) -> None:
        super().__init__()
        hidden = hidden_width(site.width, ratio)
        self.norm = nn.LayerNorm(site.width)
        self.up = nn.Linear(site.width, hidden)
        self.down = silent(nn.Linear(hidden, site.width))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.down(nn.functional.gelu(self.up(self.norm(h))))
        return out
