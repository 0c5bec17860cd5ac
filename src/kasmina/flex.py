"""Attention by FlexAttention (Dong et al. 2024, https://arxiv.org/abs/2412.05496).

Importing this file imports FlexAttention; ``kasmina.attention`` does so when flex is chosen.

A causal block mask is built once a pair of lengths and device, by eager code, also while the call
is being traced: a compiled graph reads the finished mask as an input.
"""

import operator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

MASKS_KEPT = 64
"""Masks that are kept, the oldest is dropped: no fewer than the graphs ``kasmina.compiling`` allows
one function, so that a graph whose mask was dropped is rare. It is compiled again when called."""

_Key = tuple[int, int, torch.device]

_MASKS: dict[_Key, BlockMask] = {}


def attend_flex(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, dropout_p: float) -> Tensor:
    """softmax(q k^T / sqrt(D)) v; for the arguments see ``kasmina.attention.attend``.

    Compiled, every pair of lengths has its own graph, also where other sizes are symbolic.

    Shape:
        (B, H, T, D) in and out.

    Raises:
        NotImplementedError: dropout, or gradients on a CPU; torch has neither.
    """
    if dropout_p > 0.0:
        raise NotImplementedError("FlexAttention has no dropout")
    if q.device.type == "cpu" and torch.is_grad_enabled() and _any_learns(q, k, v):
        raise NotImplementedError("FlexAttention has no backward on a CPU")
    if not causal:
        return flex_attention(q, k, v)
    # under FakeTensorMode a mask is fake as well, and must not be met by a real call later
    make = _build if isinstance(q, FakeTensor) else causal_mask
    mask = make(q.shape[2], k.shape[2], q.device)
    return flex_attention(q, k, v, block_mask=mask)


def _any_learns(*tensors: Tensor) -> bool:
    return any(x.requires_grad for x in tensors)


def causal_mask(num_queries: int, num_keys: int, device: torch.device) -> BlockMask:
    """The kept mask by which query t sees keys 0..t; the same object for the same arguments."""
    # index() makes a symbolic length a number: a mask has one size, and a constant none
    key = (operator.index(num_queries), operator.index(num_keys), device)
    _keep(*key)
    return _MASKS[key]


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _keep(num_queries: int, num_keys: int, device: torch.device) -> bool:
    # While a call is traced this runs for real, and the tracer then finds the mask where the next
    # line looks it up. Returned from here it could not be: the tracer takes in tensors at most.
    key = (num_queries, num_keys, device)
    if key in _MASKS:
        return True
    while len(_MASKS) >= MASKS_KEPT:
        del _MASKS[next(iter(_MASKS))]
    # an inference tensor could not serve a backward that comes later
    with torch.inference_mode(False), torch.no_grad():
        _MASKS[key] = _build(*key)
    return True


def _build(num_queries: int, num_keys: int, device: torch.device) -> BlockMask:
    return create_block_mask(_past, None, None, num_queries, num_keys, device=device)


def _past(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return query >= key
