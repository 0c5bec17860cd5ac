"""What a controller is, and what all that grow have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Choice:
    """A seed to germinate.

    Args:
        view: the slot.
        blueprint: one of its ``sizes``.
        why: this one.
        numbers: that it rests on.
    """

    view: SlotView
    blueprint: str
    why: str
    numbers: Mapping[str, float] = field(default_factory=dict)


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
        """The moves of live seeds, then new seeds, as many as there is room for."""
        moves = [move for view in seen.slots if (move := self.pace.decide(view))]
        return moves + self._germinate(seen)

    def _germinate(self, seen: Observation) -> list[Decision]:
        places, due = self.places(seen)
        if due is None:
            return []
        chosen = self.choose(seen, places, due)[: self.room(seen)]
        return [move for choice in chosen for move in _grow(choice, due)]

    def asks(self, seen: Observation) -> Ask | None:
        """What the timing asks for, where a seed could germinate at all."""
        if not isinstance(self.timing, Probing) or not self._open(seen):
            return None
        return self.timing.asks(seen)

    def places(self, seen: Observation) -> tuple[list[SlotView], Due | None]:
        """The slots that a seed can germinate in, and why now; no reason where it is not time."""
        return _empty(seen), self.timing.due(seen) if self._open(seen) else None

    def room(self, seen: Observation) -> int:
        """Seeds that may germinate beside those whose fate is open."""
        return max(0, self.max_live - sum(view.alive for view in seen.slots))

    def _open(self, seen: Observation) -> bool:
        return bool(self.room(seen) and _empty(seen)) and not self.pace.in_tail(seen)

    @abstractmethod
    def choose(self, seen: Observation, places: list[SlotView], due: Due) -> Sequence[Choice]:
        """Seeds for slots among ``places``, one a slot; the first of them germinate, as many as
        there is room for."""


def _empty(seen: Observation) -> list[SlotView]:
    return [view for view in seen.slots if view.stage is Stage.DORMANT and view.sizes]


def _grow(choice: Choice, due: Due) -> list[Decision]:
    """Germinate a seed and let it train at once."""
    site, blueprint = choice.view.site, choice.blueprint
    numbers = {"parameters": float(choice.view.sizes[blueprint]), **choice.numbers}
    reason = f"{due.reason}; {choice.why}"
    return [
        Decision(site, Event.GERMINATE, reason, blueprint=blueprint, numbers=numbers),
        Decision(site, Event.TRAIN, "a germinated seed starts to train"),
    ]


def next_in_turn(places: list[SlotView]) -> SlotView:
    """The slot with the fewest births; among equals the first in the host."""
    return min(places, key=lambda view: view.births)
