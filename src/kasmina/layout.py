"""Memory format: what keeps a feature map in the order in which it came.

Shapes: N batch, C channels, H height, W width.

On CPU the backward of eager GroupNorm writes through a null pointer when its channels_last input
needs no gradient and H*W < 2048 (torch 2.13; inductor does not). That is what a module that begins
with GroupNorm sees while its input is detached, as a seed's is while it trains behind the host.
"""

import functools
import subprocess
import sys

import torch
from torch import Tensor, nn

_UNTRIED = "2.14"  # every torch before it is known to crash
_CRASH = """
import torch
h = torch.randn(2, 8, 4, 4).contiguous(memory_format=torch.channels_last)
torch.nn.GroupNorm(2, 8)(h).sum().backward()
"""
_SAFE_PIXELS = 2048  # from here on torch reads the map in another way, which does not crash


def spatial_mean(h: Tensor) -> Tensor:
    """The mean over H and W, with a gradient that lies in memory as ``h`` does.

    ``h.mean((2, 3))`` has the same value, but the gradient of a mean is dense in the order of the
    axes that were named, and a contiguous gradient makes a channels_last backward convert.

    Shape: (N, C, H, W) to (N, C).
    """
    if h.is_contiguous(memory_format=torch.channels_last) and not h.is_contiguous():
        return h.permute(0, 2, 3, 1).mean((1, 2))
    return h.mean((2, 3))


def groupnorm_safe(h: Tensor) -> Tensor:
    """``h``, copied to contiguous memory only where GroupNorm's backward would crash on it.

    Inside a region that inductor compiles the copy melts into the norm and costs no memory.

    Shape: any; only (N, C, H, W) is ever copied.
    """
    if h.dim() != 4 or h.device.type != "cpu" or h.requires_grad or not torch.is_grad_enabled():
        return h
    # torch picks the kernel by strides: a crop or a channel slice of a channels_last map, and
    # C = 1 or H = W = 1, crash as well although is_contiguous() says otherwise
    if h.stride(1) > h.stride(3) or h.shape[2] * h.shape[3] >= _SAFE_PIXELS:
        return h
    if not groupnorm_crashes():
        return h
    return h.clone(memory_format=torch.contiguous_format)  # contiguous() would keep such strides


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def groupnorm_crashes() -> bool:
    """Whether the installed torch has the crash; one newer than is known is tried once."""
    return torch.__version__ < _UNTRIED or _dies(sys.executable)


@functools.cache
def _dies(python: str) -> bool:
    # in a process of its own, since what has to be found out is a segmentation fault
    return subprocess.run([python, "-c", _CRASH], capture_output=True, check=False).returncode != 0


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
