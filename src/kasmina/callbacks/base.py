"""Hooks that Lightning does not have: a tick, the asking before it, and a change of the network."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.surgery import Change, perform


class GrowthCallback(Callback):
    """A callback that hears ticks and changes."""

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Validation is done: the time to look and to decide what happens at ``tick``."""

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Between two optimizer steps: the only time at which the network may change."""

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """A slot has moved."""

    def on_rewrap(self, trainer: Trainer, module: GrowingModule, seconds: float) -> None:
        """Parameters came or went, and the strategy has taken ``seconds`` to follow."""


C = TypeVar("C", bound=Callback)


def of_type(trainer: Trainer, kind: type[C]) -> Iterator[C]:
    """The trainer's callbacks of one type, in order."""
    return (callback for callback in trainer.callbacks if isinstance(callback, kind))  # type: ignore[attr-defined]


def the(trainer: Trainer, kind: type[C]) -> C:
    """The trainer's first callback of one type.

    Raises:
        ValueError: it has none.
    """
    found = next(of_type(trainer, kind), None)
    if found is None:
        raise ValueError(f"callbacks: a run needs {kind.__module__}.{kind.__qualname__}")
    return found


def growing(module: LightningModule) -> GrowingModule:
    """The module as what it has to be.

    Raises:
        TypeError: it is another one.
    """
    if not isinstance(module, GrowingModule):
        raise TypeError(f"growth needs a GrowingModule, not a {type(module).__name__}")
    return module


def change(
    trainer: Trainer,
    module: GrowingModule,
    tick: int,
    decision: Decision,
    *,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Make a move and tell every callback; a seed that germinates takes ``weights``."""
    announce(trainer, module, tick, perform(module, decision, weights))


def announce(trainer: Trainer, module: GrowingModule, tick: int, done: Change) -> None:
    """Tell every callback of a move that was made."""
    for callback in of_type(trainer, GrowthCallback):
        callback.on_change(trainer, module, tick, done)


Batch = Any
