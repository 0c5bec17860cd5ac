"""Four ways to hold alpha beside a seed. Each forward stands in a class of its own: torch keeps its
graphs, and its limit of them, by code object."""

import torch
from torch import Tensor, nn


class AsFloat(nn.Module):
    """(a) Alpha is a Python float."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.alpha = body, 0.0

    def set(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, h: Tensor) -> Tensor:
        return torch.lerp(h, self.body(h), self.alpha)


class Replaced(nn.Module):
    """(b) Alpha is a tensor, a new one at each change."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.set(0.0)

    def set(self, alpha: float) -> None:
        self.alpha = torch.tensor(alpha, device=next(self.body.parameters()).device)

    def forward(self, h: Tensor) -> Tensor:
        return torch.lerp(h, self.body(h), self.alpha)


class Cached(nn.Module):
    """(c) Alpha is a float; forward keeps a tensor of it and makes another when the float moved."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.alpha = body, 0.0
        self.cached: Tensor | None = None
        self.cached_for = -1.0

    def set(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, h: Tensor) -> Tensor:
        if self.cached is None or self.cached_for != self.alpha:
            self.cached = torch.tensor(self.alpha, device=h.device)
            self.cached_for = self.alpha
        return torch.lerp(h, self.body(h), self.cached)


class Filled(nn.Module):
    """(d) Alpha is a 0-d buffer, filled in place."""

    alpha: Tensor

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        device = next(body.parameters()).device
        self.register_buffer("alpha", torch.zeros((), device=device))

    def set(self, alpha: float) -> None:
        self.alpha.fill_(alpha)

    def forward(self, h: Tensor) -> Tensor:
        return torch.lerp(h, self.body(h), self.alpha)


WAYS = {
    "float": AsFloat,
    "tensor replaced": Replaced,
    "tensor cached in forward": Cached,
    "buffer filled": Filled,
}

Way = AsFloat | Replaced | Cached | Filled
