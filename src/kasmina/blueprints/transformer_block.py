"""Attention, then a perceptron: one more block of a transformer, so that it grows in depth."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.blueprints.attention import Attention
from kasmina.blueprints.mlp import MLP
from kasmina.site import Kind, Site


class TransformerBlock(nn.Module):
    """mlp(attention(h)), each of which reads through a norm and adds to what it read.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; transformers that grow by whole blocks:
    Gong et al. 2019, https://proceedings.mlr.press/v97/gong19a.html.

    Args:
        site: a sequence.
        num_heads: a divisor of the width; None: as ``Attention`` chooses.
        ratio: hidden features of the perceptron per feature.
        causal: token t sees tokens 0..t only. False lets a causal host look ahead.
        backend: one of ``kasmina.attention.BACKENDS``.

    Shape:
        (N, T, C) in and out.

    Raises:
        ValueError: heads that do not divide the width, no such backend, or a ratio that is not
            positive.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("sequence",)

    def __init__(
        self,
        site: Site,
        *,
        num_heads: int | None = None,
        ratio: float = 4.0,
        causal: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.attention = Attention(site, num_heads=num_heads, causal=causal, backend=backend)
        self.mlp = MLP(site, ratio=ratio)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.mlp(self.attention(h))
        return out
