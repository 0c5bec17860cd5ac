"""A causal transformer language model in the shape of GPT-2.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf

Shapes: B batch, T tokens, C channels, V vocabulary.
"""

import math

from torch import Tensor, nn

from kasmina.attention import SelfAttention

_STD = 0.02  # Radford et al. 2018 (GPT-1), section 4.1


class Block(nn.Module):
    """Attention, then an MLP, each read through a LayerNorm and added back: (B, T, C) to (B, T, C).

    The norm comes before, as in Xiong et al. 2020, https://arxiv.org/abs/2002.04745.
    """

    def __init__(
        self, width: int, *, num_heads: int, mlp_ratio: float, dropout: float, backend: str
    ) -> None:
        super().__init__()
        hidden = int(mlp_ratio * width)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(
            width, num_heads=num_heads, causal=True, backend=backend, dropout=dropout
        )
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        out: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return out


class GPT(nn.Module):
    """Causal language model; its sites are its blocks: ``blocks.0``, ``blocks.1``, ...

    Args:
        vocab_size: V.
        context: the most tokens that one forward takes.
        depth: number of blocks.
        width: C, a multiple of ``num_heads``.
        num_heads: attention heads of each block.
        mlp_ratio: hidden features of a block's MLP, as a multiple of C.
        dropout: fraction dropped after the embedding, in the attention, and of each residual.
        tie_weights: the head reads with the token embedding's own matrix (Press & Wolf 2017,
            https://arxiv.org/abs/1608.05859).
        backend: how the attention is computed; see ``kasmina.attention``.

    Shape:
        tokens (B, T) int64 to logits (B, T, V).

    Raises:
        ValueError: no block, or more than ``context`` tokens in forward.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        context: int,
        depth: int = 4,
        width: int = 64,
        num_heads: int = 4,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        tie_weights: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"a GPT has at least one block, not depth {depth}")
        self.context = context
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.position_embedding = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout, backend=backend)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        if tie_weights:
            self.head.weight = self.token_embedding.weight
        self._initialise()

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"{length} tokens came, but this GPT's context is {self.context}")
        x = self.token_embedding(tokens) + self.position_embedding.weight[:length]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.norm(x))
        return out

    def _initialise(self) -> None:
        """Weights from N(0, 0.02) and biases zero; what a block adds is scaled down by
        1 / sqrt(number of additions), so that their sum keeps its size: GPT-2, section 2.3."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        additions = 2 * len(self.blocks)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.proj.weight", "mlp.2.weight")):
                nn.init.normal_(parameter, std=_STD / math.sqrt(additions))
