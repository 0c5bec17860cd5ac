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
    model: Grafted,
    slots: Sequence[SeedSlot],
    inputs: Any,
    targets: Tensor,
    loss_of: LossOf,
    *,
    weights: Sequence[Tensor] = (),
) -> tuple[dict[str, Passing], list[Tensor]]:
    """One forward and one backward; features and gradients by site, and gradients of ``weights``.

    The backward asks for these gradients alone, so nothing is added to ``grad`` of a parameter;
    buffers are copies.
    """
    seen: dict[str, Tensor] = {}

    def tap(slot: nn.Module, _: Any, h: Tensor) -> Tensor:
        assert isinstance(slot, SeedSlot)
        h = h if h.requires_grad else h.detach().requires_grad_()
        seen[slot.site.name] = h
        return h.clone()  # the host may write into what it goes on with

    handles = [slot.register_forward_hook(tap) for slot in slots]
    try:
        outputs = untouched(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    asked = [*seen.values(), *weights]
    loss = loss_of(outputs, targets)
    grads = torch.autograd.grad(loss, asked, allow_unused=True, materialize_grads=True)
    pairs = zip(seen.items(), grads[: len(seen)], strict=True)
    return {site: (h.detach(), grad) for (site, h), grad in pairs}, list(grads[len(seen) :])


def untouched(model: Grafted, inputs: Any, weights: Mapping[str, Tensor] | None = None) -> Any:
    """What the model returns, with other ``weights`` by name; its buffers stay as they were."""
    penalties = [(slot, slot.penalty) for slot in model]
    others = {**dict(model.named_buffers()), **(weights or {})}
    copies = {f"model.{n}": t if n in (weights or {}) else t.clone() for n, t in others.items()}
    try:
        return torch.func.functional_call(_Call(model), copies, (inputs,))
    finally:
        for slot, penalty in penalties:
            slot.penalty = penalty


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
