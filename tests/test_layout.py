"""GroupNorm under channels_last inputs that need no gradient: where torch's backward crashes."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kasmina.layout import GroupNorm, groupnorm_safe, guard_groupnorms


def channels_last(h: Tensor) -> Tensor:
    return h.contiguous(memory_format=torch.channels_last)


# H = W = 1 in channels_last order; to(memory_format=...) leaves such strides as they are
PIXEL = torch.randn(3, 8).as_strided((3, 8, 1, 1), (8, 1, 8, 8))
CRASHING: dict[str, Callable[[], Tensor]] = {
    "plain": lambda: channels_last(torch.randn(3, 8, 6, 6)),
    "one sample": lambda: channels_last(torch.randn(1, 8, 6, 6)),
    "one channel": lambda: channels_last(torch.randn(3, 1, 6, 6)),
    "one row": lambda: channels_last(torch.randn(3, 8, 1, 6)),
    "one pixel": lambda: PIXEL.clone(memory_format=torch.preserve_format),
    "crop": lambda: channels_last(torch.randn(3, 8, 9, 9))[:, :, 1:-1, 1:-1],
    "channel slice": lambda: channels_last(torch.randn(3, 16, 6, 6))[:, 8:],
}


@pytest.mark.parametrize("make", CRASHING.values(), ids=CRASHING.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_backward_survives_every_channels_last_layout(
    make: Callable[[], Tensor], dtype: torch.dtype
) -> None:
    h = make().to(dtype)
    safe = groupnorm_safe(h)
    assert safe.is_contiguous()
    assert safe.stride()[1] == h.shape[2] * h.shape[3]  # is_contiguous() is lax about ones
    assert torch.equal(safe, h)
    norm = GroupNorm(1, h.shape[1]).to(dtype)
    out = norm(h)
    out.square().sum().backward()
    expected = nn.functional.group_norm(safe, 1, norm.weight, norm.bias)
    assert torch.equal(out, expected)
    assert norm.weight.grad is not None
    assert norm.weight.grad.isfinite().all()


@pytest.mark.parametrize("grad_mode", [True, False])
@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize("make", [channels_last, Tensor.contiguous])
def test_it_copies_only_where_the_backward_would_crash(
    make: Callable[[Tensor], Tensor], needs_grad: bool, grad_mode: bool
) -> None:
    h = make(torch.randn(3, 8, 6, 6)).requires_grad_(needs_grad)
    with torch.set_grad_enabled(grad_mode):
        crashes = make is channels_last and grad_mode and not needs_grad
        assert (groupnorm_safe(h) is h) != crashes


@pytest.mark.parametrize(
    "h",
    [
        torch.randn(3, 8),
        torch.randn(3, 8, 6).transpose(1, 2),
        torch.empty(3, 8, 6, 6, device="meta").to(memory_format=torch.channels_last),
    ],
    ids=["vector", "sequence", "another device"],
)
def test_everything_else_passes_as_it_is(h: Tensor) -> None:
    assert groupnorm_safe(h) is h


def test_it_traces_into_one_graph() -> None:
    norm, h = GroupNorm(2, 8), channels_last(torch.randn(3, 8, 6, 6))
    out = torch.compile(norm, fullgraph=True, backend="aot_eager")(h)
    out.square().sum().backward()
    assert torch.equal(out, norm(h))


@pytest.mark.parametrize("carry", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_guarded_module_of_others_survives_behind_a_pooling(
    carry: Callable[[nn.Module], nn.Module],
) -> None:
    seed = nn.Sequential(nn.AvgPool2d(2), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1))
    guard_groupnorms(seed)
    carry(seed)(channels_last(torch.randn(3, 8, 6, 6))).sum().backward()
