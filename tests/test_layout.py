"""What keeps a map's order in memory, and the one input on which GroupNorm's backward crashes."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from kasmina.layout import (
    GroupNorm,
    groupnorm_crashes,
    groupnorm_safe,
    guard_groupnorms,
    spatial_mean,
)


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


KNOWN = pytest.mark.skipif(
    torch.__version__ >= "2.14", reason="no crash is known of this torch, so none is expected"
)


@KNOWN
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


@KNOWN
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
        channels_last(torch.randn(1, 8, 46, 46)),
    ],
    ids=["vector", "sequence", "another device", "a large map"],
)
def test_everything_else_passes_as_it_is(h: Tensor) -> None:
    assert groupnorm_safe(h) is h


def test_a_large_map_survives_as_it_is() -> None:
    norm, h = GroupNorm(2, 8), channels_last(torch.randn(2, 8, 64, 32))  # 2048 pixels
    norm(h).sum().backward()
    assert norm.weight.grad is not None


@KNOWN
def test_this_torch_needs_the_copy() -> None:
    """Fails where the crash is gone: then no torch newer than the last known one pays for it."""
    code = """if True:
        import torch
        h = torch.randn(3, 8, 45, 45).contiguous(memory_format=torch.channels_last)
        torch.nn.GroupNorm(2, 8)(h).sum().backward()"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0, "no signal"
    assert groupnorm_crashes()


def interpreter(folder: Path, status: int) -> Path:
    """A Python in which the crash does, or does not, happen; it notes that it was asked."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho asked >>{folder}/asked\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("survives", [True, False])
def test_a_newer_torch_is_tried_once_and_only_when_the_case_arises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: bool
) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.14.0"))
    monkeypatch.setattr(sys, "executable", str(interpreter(tmp_path, 0 if survives else 139)))
    h = torch.randn(3, 8, 6, 6)
    assert groupnorm_safe(h) is h
    assert not (tmp_path / "asked").exists()
    h = channels_last(h)
    assert [groupnorm_safe(h) is h for _ in range(3)] == [survives] * 3
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_the_trial_is_the_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    known = groupnorm_crashes()
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.99"))
    assert groupnorm_crashes() == known


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
    carried, h = carry(seed), channels_last(torch.randn(3, 8, 6, 6))
    out = carried(h)
    out.sum().backward()
    assert torch.equal(out, seed(h))
    assert all(weight.grad is not None for weight in carried.parameters())


@pytest.mark.parametrize("shape", [(3, 8, 6, 5), (1, 8, 2, 2), (3, 1, 4, 4), (3, 8, 1, 1)])
@pytest.mark.parametrize("make", [channels_last, Tensor.contiguous])
def test_a_spatial_mean_has_the_gradient_in_the_order_of_the_map(
    make: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    h = make(torch.randn(shape)).requires_grad_()
    order: list[Tensor] = []
    h.register_hook(order.append)
    mean = spatial_mean(h)
    assert torch.equal(mean, h.mean((2, 3)))
    (mean * torch.arange(shape[1])).sum().backward()
    (gradient,) = order
    assert gradient.stride() == h.stride()
    assert torch.equal(gradient[0, :, 0, 0], torch.arange(shape[1]) / (shape[2] * shape[3]))


def test_a_plain_mean_has_not() -> None:
    """Fails where torch follows the map by itself: then ``spatial_mean`` can go."""
    h = channels_last(torch.randn(3, 8, 6, 5)).requires_grad_()
    h.register_hook(lambda gradient: strides.append(gradient.stride()))
    strides: list[tuple[int, ...]] = []
    h.mean((2, 3)).sum().backward()
    assert strides != [h.stride()]
