"""Alpha curves: the path of a seed's weight to its target. Floats in, floats out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from kasmina.suggest import unknown

_STEEPNESS = 6.0  # the sigmoid is cut at +-6, then stretched so that its ends are exact


def _sigmoid(progress: float) -> float:
    low = 1 / (1 + math.exp(_STEEPNESS))
    value = 1 / (1 + math.exp(-_STEEPNESS * (2 * progress - 1)))
    return (value - low) / (1 - 2 * low)


CURVES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: progress,
    "cosine": lambda progress: (1 - math.cos(math.pi * progress)) / 2,
    "sigmoid": _sigmoid,
}
"""Monotone maps of progress in [0, 1] to the share of the way that is done."""


@dataclass(frozen=True)
class Ramp:
    """Alpha on its way from ``start`` to ``target`` in ``ticks`` ticks, ``done`` of them behind it.

    Args:
        curve: a key of ``CURVES``.
        ticks: how many ticks the way takes, at least 1.
        target: alpha at the end, in [0, 1].
        start: alpha at tick 0, in [0, 1].
        done: ticks that have passed.

    Raises:
        ValueError: an unknown curve, no tick, or an alpha outside [0, 1].
    """

    curve: str = "cosine"
    ticks: int = 5
    target: float = 1.0
    start: float = 0.0
    done: int = 0

    def __post_init__(self) -> None:
        if self.curve not in CURVES:
            raise ValueError(unknown("ramp curve", self.curve, CURVES))
        if self.ticks < 1:
            raise ValueError(f"a ramp takes at least 1 tick, not {self.ticks}")
        for name, alpha in (("start", self.start), ("target", self.target)):
            if not 0.0 <= alpha <= 1.0:
                raise ValueError(f"the ramp's {name} is an alpha in [0, 1], not {alpha}")

    @property
    def alpha(self) -> float:
        """Alpha now: exact at both ends and monotone between them."""
        if self.done <= 0:
            return self.start
        if self.arrived:
            return self.target
        share = CURVES[self.curve](self.done / self.ticks)
        return self.start + (self.target - self.start) * share

    @property
    def arrived(self) -> bool:
        """Whether alpha is at its target."""
        return self.done >= self.ticks

    def next(self) -> "Ramp":
        """The same ramp one tick later."""
        return replace(self, done=min(self.done + 1, self.ticks))
