"""What passes at empty slots, and what the loss asks of it, without a trace in the network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.graft import Grafted, call
from kasmina.slot import SeedSlot

LossOf = Callable[[Any, Tensor], Tensor]
"""The mean loss of (what the network returned, targets), a 0-d tensor."""

Passing = tuple[Tensor, Tensor]
"""The host's features h at a slot, and dL/dh; shapes alike."""


def capture(
    model: Grafted, slots: Sequence[SeedSlot], inputs: Any, targets: Tensor, loss_of: LossOf
) -> dict[str, Passing]:
    """One forward and one backward; features and gradients by site.

    The backward asks for the gradients of these features alone, so nothing is added to ``grad`` of
    a parameter, and none is computed; buffers are copies.
    """
    seen: dict[str, Tensor] = {}

    def tap(slot: nn.Module, _: Any, h: Tensor) -> Tensor:
        assert isinstance(slot, SeedSlot)
        h = h if h.requires_grad else h.detach().requires_grad_()
        seen[slot.site.name] = h
        return h.clone()  # the host may write into what it goes on with

    handles = [slot.register_forward_hook(tap) for slot in slots]
    penalties = [(slot, slot.penalty) for slot in model]
    copies = {f"model.{name}": buffer.clone() for name, buffer in model.named_buffers()}
    try:
        outputs = torch.func.functional_call(_Call(model), copies, (inputs,))
    finally:
        for handle in handles:
            handle.remove()
        for slot, penalty in penalties:
            slot.penalty = penalty
    grads = torch.autograd.grad(
        loss_of(outputs, targets), list(seen.values()), allow_unused=True, materialize_grads=True
    )
    return {site: (h.detach(), grad) for (site, h), grad in zip(seen.items(), grads, strict=True)}


class _Call(nn.Module):
    """The model as ``functional_call`` wants it: one module, called with the inputs."""

    def __init__(self, model: Grafted) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, inputs: Any) -> Any:
        return call(self.model, inputs)


def plain(value: Any) -> Any:
    """A batch, or a part of one, that autograd takes: made in inference mode, it is copied."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value)) if not hasattr(value, "_fields") else value
    return value
