"""Random growth: what any criterion has to beat."""

import random
from typing import final

from kasmina.control.base import Choice, Grower
from kasmina.control.observation import Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.timing import Due, Timing

_NEAR = 0.25  # a size within this share of the wanted one counts as the same


@final
class Random(Grower):
    """A slot and a blueprint by lot; with ``Replay`` timing at another run's times and sizes.

    Args:
        seed: of the lot, which is a pure function of it and the tick.
    """

    def __init__(self, *, timing: Timing, pace: Pace, max_live: int = 1, seed: int = 0) -> None:
        super().__init__(timing=timing, pace=pace, max_live=max_live)
        self.seed = seed

    def choose(self, seen: Observation, places: list[SlotView], due: Due) -> list[Choice]:
        """For each wanted size one of the candidates that have it, or the nearest to it."""
        lot = random.Random(f"{self.seed}/{seen.tick}")
        chosen: list[Choice] = []
        for size in (due.sizes or (None,))[: len(places)]:
            taken = [choice.view for choice in chosen]
            candidates = [(v, name) for v in places if v not in taken for name in v.sizes]
            candidates = candidates if size is None else _of_size(candidates, size)
            why = f"drawn by lot from {len(candidates)} candidates"
            chosen.append(Choice(*lot.choice(candidates), why))
        return chosen


def _of_size(candidates: list[tuple[SlotView, str]], size: int) -> list[tuple[SlotView, str]]:
    def gap(candidate: tuple[SlotView, str]) -> int:
        view, name = candidate
        return abs(view.sizes[name] - size)

    closest = min(map(gap, candidates))
    reach = max(closest, int(_NEAR * size))
    return [candidate for candidate in candidates if gap(candidate) <= reach]
