"""Many alpha configurations in one forward: every slot sends on its host's features beside its own.

With n seeds a configuration is a number in [0, 2^n): bit i is set where seed i speaks. Legend:
B samples of a batch, M configurations.

``tree``: behind the first slot the batch is doubled, behind the second again, and so on, so that
what two configurations share below the first slot in which they differ is computed once. Instead of
(2^n) forwards it takes 1 up to the first slot, 2 up to the second, ..., 2^n behind the last. For
hosts in which all that lies behind a slot comes through it.

``rows``: the batch is repeated for M configurations, and each slot chooses row by row. For any
host in which samples do not meet.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kasmina.attribution.base import Subject
from kasmina.graft import call
from kasmina.slot import SeedSlot
from kasmina.tasks import predictions

_ROWS = 2048  # rows of a forward; far more gain nothing and take memory
_PROBE = 2  # samples on which the ways are compared
_MOST_DOUBLED = 10  # seeds

Configurations = Sequence[int]
Way = Callable[[Subject, Sequence[SeedSlot], Configurations], Tensor]


def one_by_one(subject: Subject, slots: Sequence[SeedSlot], masks: Configurations) -> Tensor:
    """A forward of all samples for each configuration: (M, N) scores."""
    return torch.cat([subject.scores(_silent(slots, mask))[None] for mask in masks])


def rows(subject: Subject, slots: Sequence[SeedSlot], masks: Configurations) -> Tensor:
    """As many configurations a forward as ``_ROWS`` allows: (M, N) scores."""
    at_once = max(1, _ROWS // min(subject.data.batch_size, subject.samples))
    parts = [masks[start : start + at_once] for start in range(0, len(masks), at_once)]
    model = subject.module.model
    return torch.cat([subject.scored(_by_rows(model, slots, part), len(part)) for part in parts])


def tree(subject: Subject, slots: Sequence[SeedSlot], masks: Configurations) -> Tensor:
    """All 2^n configurations in one forward of each batch; those of ``masks``: (M, N) scores."""
    networks = 1 << len(slots)
    size = max(1, _ROWS // networks)

    def outputs(inputs: Tensor) -> Tensor:
        parts = [by_tree(subject.module.model, slots, part) for part in torch.split(inputs, size)]
        return torch.cat([torch.unflatten(part, 0, (networks, -1)) for part in parts], 1).flatten(
            0, 1
        )

    return subject.scored(outputs, networks)[list(masks)]


def by_tree(model: Any, slots: Sequence[SeedSlot], inputs: Any) -> Tensor:
    """Predictions of all configurations in their order, (2^n B, ...)."""
    passed: list[int] = []

    def doubling(number: int) -> Callable[..., Tensor]:
        def double(_slot: Any, args: tuple[Tensor], spoken: Tensor) -> Tensor:
            passed.append(number)
            return torch.cat([args[0], spoken])

        return double

    with _hooked(slots, [doubling(number) for number in range(len(slots))]):
        found = predictions(call(model, inputs))
    # the k-th slot that was passed has given bit k of a block's place
    order = [
        sum(1 << k for k, number in enumerate(passed) if mask >> number & 1)
        for mask in range(1 << len(slots))
    ]
    return torch.unflatten(found, 0, (len(order), -1))[order].flatten(0, 1)


def best_way(subject: Subject, slots: Sequence[SeedSlot]) -> Way:
    """The fastest way that says of two samples what single forwards say."""
    model = subject.module.model
    inputs = subject.module.lay_out(subject.data.example())[0]
    if not isinstance(inputs, Tensor):
        return one_by_one
    few, model_training = inputs[:_PROBE], model.training
    ends = (0, (1 << len(slots)) - 1)
    try:
        with torch.inference_mode():
            model.eval()
            wanted = torch.cat(
                [predictions(call(model, few, alphas=_silent(slots, m))) for m in ends]
            )
            ways = {rows: lambda: _by_rows(model, slots, ends)(few)}
            if len(slots) <= _MOST_DOUBLED:
                ways = {tree: lambda: _ends(by_tree(model, slots, few), len(few)), **ways}
            return next((way for way, ask in ways.items() if _agrees(ask, wanted)), one_by_one)
    finally:
        model.train(model_training)


def _ends(found: Tensor, samples: int) -> Tensor:
    return torch.cat([found[:samples], found[-samples:]])


def _agrees(ask: Callable[[], Tensor], wanted: Tensor) -> bool:
    try:
        found = ask()
    except (RuntimeError, ValueError):  # what goes round a slot has another number of rows
        return False
    return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-3, atol=1e-4)


def _silent(slots: Sequence[SeedSlot], mask: int) -> dict[str, float]:
    return {slot.site.name: 0.0 for i, slot in enumerate(slots) if not mask >> i & 1}


def _by_rows(
    model: Any, slots: Sequence[SeedSlot], masks: Configurations
) -> Callable[[Tensor], Tensor]:
    def outputs(inputs: Tensor) -> Tensor:
        def choosing(number: int) -> Callable[..., Tensor]:
            speaks = torch.tensor([bool(mask >> number & 1) for mask in masks])
            on = speaks.to(inputs.device).repeat_interleave(len(inputs))

            def choose(_slot: Any, args: tuple[Tensor], spoken: Tensor) -> Tensor:
                return torch.where(on.view(-1, *[1] * (spoken.dim() - 1)), spoken, args[0])

            return choose

        with _hooked(slots, [choosing(number) for number in range(len(slots))]):
            return predictions(call(model, inputs.repeat(len(masks), *[1] * (inputs.dim() - 1))))

    return outputs


@contextmanager
def _hooked(slots: Sequence[SeedSlot], hooks: Sequence[Callable[..., Tensor]]) -> Iterator[None]:
    handles = [slot.register_forward_hook(h) for slot, h in zip(slots, hooks, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
