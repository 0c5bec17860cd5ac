"""Memory format: keep eager GroupNorm away from the one layout in which its backward crashes.

On CPU the backward of eager GroupNorm writes through a null pointer when its channels_last input
needs no gradient and H*W < 2048 (torch 2.13; inductor does not). That is what a module that begins
with GroupNorm sees while its input is detached, as a seed's is while it trains behind the host.
"""

import torch
from torch import Tensor, nn


def groupnorm_safe(h: Tensor) -> Tensor:
    """``h``, copied to contiguous memory only where GroupNorm's backward would crash on it.

    Shape: any; only (N, C, H, W) is ever copied.
    """
    if h.dim() != 4 or h.device.type != "cpu" or h.requires_grad or not torch.is_grad_enabled():
        return h
    # torch picks the kernel by strides: a crop or a channel slice of a channels_last map, and
    # C = 1 or H = W = 1, crash as well although is_contiguous() says otherwise
    if h.stride(1) > h.stride(3):
        return h
    return h.clone(memory_format=torch.contiguous_format)  # contiguous() would keep such strides


class GroupNorm(nn.GroupNorm):
    """``nn.GroupNorm`` whose backward survives a channels_last input that needs no gradient.

    Wu & He 2018, https://arxiv.org/abs/1803.08494. Shape: (N, C, H, W) in and out.
    """

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(groupnorm_safe(h))


def guard_groupnorms(module: nn.Module) -> None:
    """Make every plain ``nn.GroupNorm`` inside ``module`` as safe as ours, by a forward pre-hook.

    For modules that others wrote. Guarding the norm copies only what a norm is about to read;
    guarding the module's input would copy for every module and miss a norm behind a pooling.
    """
    for part in module.modules():
        if type(part) is nn.GroupNorm:
            part.register_forward_pre_hook(_safe_input)


def _safe_input(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(groupnorm_safe(h) for h in inputs)
