"""How the features of a host and of a seed become one: straight-through values and operators.

Legend: h host features, z seed features (same shape as h), alpha 0-d tensor in [0, 1].
An operator returns h bit for bit at alpha 0, also where z is inf or nan.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from kasmina.layout import spatial_mean
from kasmina.site import Site

_OPEN = 2.0  # a newborn gate lets sigmoid(2) = 88 % through and still has a slope to learn from


class _HostValue(Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, z: Tensor) -> Tensor:
        ctx.z_dtype = z.dtype
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], grads[0].to(ctx.z_dtype)


class _SeedValue(Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, z: Tensor) -> Tensor:
        ctx.z_dtype = z.dtype
        return z.to(h.dtype) if z.dtype != h.dtype else z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], grads[0].to(ctx.z_dtype)


def host_value(h: Tensor, z: Tensor) -> Tensor:
    """The value of ``h``; the gradient goes unchanged to both (straight-through estimator).

    ``h + (z - z.detach())`` says the same for finite z; one inf in z turns it into nan. The value
    is a view of ``h``, which costs no memory; torch raises where the host then writes into it.
    """
    out: Tensor = _HostValue.apply(h, z)  # type: ignore[no-untyped-call]
    return out


def seed_value(h: Tensor, z: Tensor) -> Tensor:
    """The value of ``z``; the gradient goes unchanged to both.

    With z computed from ``h.detach()`` this is h + (z - h).detach-on-h: the host below keeps the
    gradient it would have without a seed, at every alpha. Again a view, not to be written into.
    """
    out: Tensor = _SeedValue.apply(h, z)  # type: ignore[no-untyped-call]
    return out


def _or_host(alpha: Tensor, h: Tensor, mixed: Tensor) -> Tensor:
    return torch.where(alpha == 0, h, mixed)


class Add(nn.Module):
    """Linear interpolation: h + alpha (z - h)."""

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(self, h: Tensor, z: Tensor, alpha: Tensor) -> Tensor:
        """Shape: h and z alike, alpha 0-d."""
        return _or_host(alpha, h, torch.lerp(h, z.to(h.dtype), alpha.to(h.dtype)))


class Multiply(nn.Module):
    """Bounded modulation: h (1 + alpha tanh(z - h)), a factor in [0, 2]."""

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(self, h: Tensor, z: Tensor, alpha: Tensor) -> Tensor:
        """Shape: h and z alike, alpha 0-d."""
        factor = 1 + alpha.to(h.dtype) * torch.tanh(z.to(h.dtype) - h)
        return _or_host(alpha, h, h * factor)


class Gate(nn.Module):
    """Learned gate: h + alpha g(h) (z - h) with g = sigmoid(w . h + b).

    One gate a sample for feature maps (w reads the spatial mean) and vectors, one a token for
    sequences: a mean over tokens would let a causal model see what comes.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.kind = site.kind
        self.score = nn.Linear(site.width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.constant_(self.score.bias, _OPEN)

    def openness(self, h: Tensor) -> Tensor:
        """g(h), broadcastable to h: (N, 1, 1, 1), (N, T, 1) or (N, 1)."""
        if self.kind == "map":
            return torch.sigmoid(self.score(spatial_mean(h)))[:, :, None, None]
        return torch.sigmoid(self.score(h))

    def forward(self, h: Tensor, z: Tensor, alpha: Tensor) -> Tensor:
        """Shape: h and z alike, alpha 0-d."""
        weight = alpha.to(h.dtype) * self.openness(h).to(h.dtype)
        return _or_host(alpha, h, torch.lerp(h, z.to(h.dtype), weight))
