"""What a controller is, and what all that grow have in common."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.promise import Ask
from kasmina.control.timing import Due, Probing, Timing
from kasmina.stage import Event, Stage


class Controller(Protocol):
    """Decides at a tick; it holds no state, so a resumed run decides as the first one did."""

    def decide(self, seen: Observation) -> list[Decision]:
        """Legal moves, in the order in which they are to be made."""
        ...


@runtime_checkable
class Prober(Controller, Protocol):
    """A controller that may want the network probed before it decides."""

    def asks(self, seen: Observation) -> Ask | None:
        """None for no probe at this tick."""
        ...


class Grower(ABC):
    """Grows at the ticks of ``timing``, and leads every seed through its life at ``pace``.

    Args:
        timing: when a seed is due.
        pace: how fast a seed goes on, and what it must show.
        max_live: seeds whose fate is open at one time.
    """

    def __init__(self, *, timing: Timing, pace: Pace, max_live: int = 1) -> None:
        if max_live < 1:
            raise ValueError(f"max_live is at least 1 seed, not {max_live}")
        self.timing = timing
        self.pace = pace
        self.max_live = max_live

    def decide(self, seen: Observation) -> list[Decision]:
        """The moves of live seeds, then at most one new seed."""
        moves = [move for view in seen.slots if (move := self.pace.decide(view))]
        return moves + self._germinate(seen)

    def _germinate(self, seen: Observation) -> list[Decision]:
        places, due = self.places(seen)
        if due is None:
            return []
        view, blueprint, why = self.choose(seen, places, due)
        numbers = {"parameters": float(view.sizes[blueprint])}
        reason = f"{due.reason}; {why}"
        return grow(view.site, blueprint, reason, numbers)

    def asks(self, seen: Observation) -> Ask | None:
        """What the timing asks for, where a seed could germinate at all."""
        if not isinstance(self.timing, Probing) or not self._open(seen):
            return None
        return self.timing.asks(seen)

    def places(self, seen: Observation) -> tuple[list[SlotView], Due | None]:
        """The slots that a seed can germinate in, and why now; no reason where it is not time."""
        return _empty(seen), self.timing.due(seen) if self._open(seen) else None

    def _open(self, seen: Observation) -> bool:
        room = sum(view.alive for view in seen.slots) < self.max_live
        return room and bool(_empty(seen)) and not self.pace.in_tail(seen)

    @abstractmethod
    def choose(
        self, seen: Observation, places: list[SlotView], due: Due
    ) -> tuple[SlotView, str, str]:
        """The slot among ``places``, the blueprint among its ``sizes``, and the reason."""


def _empty(seen: Observation) -> list[SlotView]:
    return [view for view in seen.slots if view.stage is Stage.DORMANT and view.sizes]


def grow(
    site: str, blueprint: str, reason: str, numbers: dict[str, float] | None = None
) -> list[Decision]:
    """Germinate a seed and let it train at once."""
    return [
        Decision(site, Event.GERMINATE, reason, blueprint=blueprint, numbers=numbers or {}),
        Decision(site, Event.TRAIN, "a germinated seed starts to train"),
    ]


def next_in_turn(places: list[SlotView]) -> SlotView:
    """The slot with the fewest births; among equals the first in the host."""
    return min(places, key=lambda view: view.births)
