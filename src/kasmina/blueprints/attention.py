"""Self-attention over tokens, a transformer's other block."""

from typing import ClassVar

from torch import Tensor, nn

from kasmina.attention import SelfAttention
from kasmina.blueprints.parts import largest_divisor, silent
from kasmina.site import Kind, Site

HEAD_WIDTH = 32
"""Features a head has at least when the number of heads is left open."""


class Attention(nn.Module):
    """h + proj(attend(norm(h))).

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; norm first: Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745.

    Args:
        site: a sequence.
        num_heads: a divisor of the width; None: as many as leave ``HEAD_WIDTH`` features each.
        causal: token t sees tokens 0..t only. False lets a causal host look ahead.
        backend: one of ``kasmina.attention.BACKENDS``.

    Shape:
        (N, T, C) in and out.

    Raises:
        ValueError: heads that do not divide the width, or no such backend.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("sequence",)

    def __init__(
        self,
        site: Site,
        *,
        num_heads: int | None = None,
        causal: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        width = site.width
        heads = largest_divisor(width, width // HEAD_WIDTH) if num_heads is None else num_heads
        self.norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, causal=causal, backend=backend)
        silent(self.attention.proj)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.attention(self.norm(h))
        return out
