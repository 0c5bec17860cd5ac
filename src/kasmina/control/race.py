"""Growth by evidence: candidates race behind the host, and the best one grows if it pays."""

from dataclasses import replace
from typing import Protocol, final, runtime_checkable

from kasmina.control.base import Controller, Grower
from kasmina.control.entry import Candidate, Entry, Rules, Wanted, trust
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.promise import Ask
from kasmina.control.timing import Due, Timing


@runtime_checkable
class Racer(Controller, Protocol):
    """A controller that wants candidates raced before it decides."""

    def wanted(self, seen: Observation) -> Wanted | None:
        """The candidates, None for no race at this tick."""
        ...


@final
class Raced(Grower):
    """Where growth is due, every dormant slot and fitting blueprint is a candidate; the winner of
    their race germinates, and nothing where none is surely worth its rent.

    Args:
        race: the rules.
    """

    def __init__(self, *, timing: Timing, pace: Pace, max_live: int = 1, race: Rules) -> None:
        super().__init__(timing=timing, pace=pace, max_live=max_live)
        self.race = race

    def wanted(self, seen: Observation) -> Wanted | None:
        """All candidates, unless the last race was lost a short while ago.

        A dormant slot has lost every seed that was born in it.
        """
        places, due = self.places(seen)
        places = [view for view in places if view.births < self.race.tries]
        if due is None or not places or self._rests(seen):
            return None
        trusts = {name: trust(*fates) for name, fates in seen.fates.items()}
        candidates = tuple(
            Candidate(view.site, name, trusts.get(name, 1.0))
            for view in places
            for name in view.sizes
        )
        return Wanted(candidates, self.race, due.reason)

    def asks(self, seen: Observation) -> Ask | None:
        """What the timing asks for, but while a lost race rests."""
        return None if self._rests(seen) else super().asks(seen)

    def _rests(self, seen: Observation) -> bool:
        if not seen.lost:
            return False
        return seen.tick - seen.raced[0].tick <= self.race.rest << (seen.lost - 1)

    def _germinate(self, seen: Observation) -> list[Decision]:
        won = [entry for entry in seen.raced if entry.won and entry.tick == seen.tick]
        plan = super()._germinate(seen) if won else []
        rests_on = won[0].numbers() if won else {}
        return [
            replace(move, numbers={**move.numbers, **rests_on}) if move.blueprint else move
            for move in plan
        ]

    def choose(
        self, seen: Observation, places: list[SlotView], due: Due
    ) -> tuple[SlotView, str, str]:
        """The winner of this tick's race."""
        won = next(entry for entry in seen.raced if entry.won)
        return seen.slot(won.site), won.blueprint, account(seen.raced)


def account(raced: tuple[Entry, ...]) -> str:
    """What came of a race, in words."""
    best = leader(raced)
    verdict = "won against" if best.won else "came before"
    fate = "" if best.won else ", but is not surely worth its rent"
    bound = f"utility {best.utility:.4f} nats a sample, surely above {best.lower:.4f}"
    return f"{best} {verdict} {len(raced) - 1} others{fate}: {bound}"


def leader(raced: tuple[Entry, ...]) -> Entry:
    """The candidate that was compared with a twin."""
    return next(entry for entry in raced if entry.gain is not None)
