"""Counts what is run, once for each kind of work, and multiplies by samples."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from kasmina.flops import counter
from kasmina.race.terms import Batch

T = TypeVar("T")


class Meter:
    """The bill of a race, in FLOPs.

    Attributes:
        total: spent so far.
        prices: FLOPs a sample, by kind of work.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.prices: dict[Hashable, float] = {}

    def run(self, kind: Hashable, batch: Batch, work: Callable[..., T], *args: Any) -> T:
        """Do ``work`` and charge it by the samples of ``batch``; the first of a kind is counted."""
        samples = len(batch[1])
        if kind in self.prices:
            result = work(*args)
        else:
            with counter() as counted:
                result = work(*args)
            self.prices[kind] = counted.get_total_flops() / samples
        self.total += self.prices[kind] * samples
        return result
