"""Learning rates on their way to 0, within a stretch of training that a measurement ends.

Rates that fall to 0 bring out what a network can do. At full rate two of them differ by where the
last steps threw them, which no number of samples averages out, and the more so the more
parameters they have.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.optim import Optimizer


@contextmanager
def slowed(optimizer: Optimizer, left: float) -> Iterator[None]:
    """Steps in here are made at ``left`` of the learning rates, which then are what they were.

    Args:
        left: share of each rate, in (0, 1].
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = left * rate
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
