"""Squeeze-and-excitation: channel attention."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from kasmina.blueprints.parts import hidden_width, silent
from kasmina.layout import spatial_mean
from kasmina.site import Kind, Site


class SqueezeExcite(nn.Module):
    """h * 2 sigmoid(W2 silu(W1 mean_HW(h))), one factor in (0, 2) a channel.

    Hu et al. 2018, https://arxiv.org/abs/1709.01507, with EfficientNet's SiLU (Tan & Le 2019,
    https://arxiv.org/abs/1905.11946): a ReLU that is off on every sample would be dead for ever.

    Args:
        site: a map.
        ratio: hidden features per channel.

    Shape:
        (N, C, H, W) in and out.

    Raises:
        ValueError: a ratio that is not positive.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site, *, ratio: float = 0.25) -> None:
        super().__init__()
        hidden = hidden_width(site.width, ratio)
        self.squeeze = nn.Linear(site.width, hidden)
        # silence is the factor 1: 2 sigmoid(0), with the sigmoid where it is steepest
        self.excite = silent(nn.Linear(hidden, site.width))

    def forward(self, h: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.squeeze(spatial_mean(h)))
        factor = 2 * torch.sigmoid(self.excite(hidden))
        return h * factor[:, :, None, None]
