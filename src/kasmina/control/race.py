"""Growth by evidence: candidates race behind the host, and who pays grows, in a slot or several."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, final, runtime_checkable

from kasmina.control.base import Choice, Controller, Grower
from kasmina.control.entry import Candidate, Entry, Lost, Rules, Wanted, trust
from kasmina.control.observation import Bill, Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.promise import Ask
from kasmina.control.timing import Due, Timing
from kasmina.stage import Event, Stage


@runtime_checkable
class Racer(Controller, Protocol):
    """A controller that wants candidates raced before it decides."""

    def wanted(self, seen: Observation) -> Wanted | None:
        """The candidates, None for no race at this tick."""
        ...


@final
class Raced(Grower):
    """Where growth is due, every dormant slot and fitting blueprint is a candidate; the winners of
    their race germinate, one a slot and no more than ``max_live`` leaves room for, and nothing
    where none is surely worth its rent. A winner of several slots grows in those that had no room
    when growth is due again, before anything else races.

    Args:
        race: the rules.
    """

    def __init__(self, *, timing: Timing, pace: Pace, max_live: int = 1, race: Rules) -> None:
        super().__init__(timing=timing, pace=pace, max_live=max_live)
        self.race = race

    def wanted(self, seen: Observation) -> Wanted | None:
        """The candidates of all slots that do not rest, unless races have had their share or the
        last winner is still to grow elsewhere."""
        places, due = self.places(seen)
        ready = [view for view in places if self._may_race(seen, view)]
        if due is None or not ready or self._spent(seen.bill) or self._to_grow(seen):
            return None
        resting = [view for view in places if self._may_try(view) and self._rests(seen, view)]
        most = self._share(seen.bill) - seen.bill.races
        return Wanted(
            candidates=_candidates(seen, ready),
            resting=_candidates(seen, resting),
            rules=self.race,
            reason=due.reason,
            room=self.room(seen),
            most=most,
        )

    def asks(self, seen: Observation) -> Ask | None:
        """What the timing asks for, where a race could follow, or the birth of what has won."""
        if self._to_grow(seen):
            return super().asks(seen)
        ready = any(self._may_race(seen, view) for view in self.places(seen)[0])
        return super().asks(seen) if ready and not self._spent(seen.bill) else None

    def _may_race(self, seen: Observation, view: SlotView) -> bool:
        return self._may_try(view) and not self._rests(seen, view)

    def _may_try(self, view: SlotView) -> bool:
        """A dormant slot has lost every seed that was born in it."""
        return view.births < self.race.tries

    def _rests(self, seen: Observation, view: SlotView) -> bool:
        lost = seen.lost.get(view.site)
        return lost is not None and seen.tick - lost.tick <= self.race.rest << (lost.count - 1)

    def _spent(self, bill: Bill) -> bool:
        return bill.races + bill.last > self._share(bill)

    def _share(self, bill: Bill) -> float:
        """FLOPs that all races may take."""
        return math.inf if self.race.share is None else self.race.share * bill.limit

    def choose(self, seen: Observation, places: list[SlotView], due: Due) -> list[Choice]:
        """The winners of this tick's race, or what is still to grow of an earlier one."""
        return [
            Choice(view, entry.blueprint, _told(entry, seen), _numbers(entry, view))
            for entry, view in self._to_grow(seen)
        ]

    def _to_grow(self, seen: Observation) -> list[tuple[Entry, SlotView]]:
        """What has won the last race and has not been born, and where: at its tick all, later only
        what a winner spreads to, unless a seed of it has been pruned or is to be now."""
        found = []
        for entry in (entry for entry in seen.raced if entry.won):
            own, *others = (seen.slot(site) for site in (entry.site, *entry.others))
            waiting = [view for view in others if _waits(view, seen.tick - entry.tick)]
            begun = (view for view in (own, *others) if view not in waiting)
            if entry.tick == seen.tick:
                found += [(entry, view) for view in (own, *others)]
            elif all(map(self._lives, begun)):
                found += [(entry, view) for view in waiting]
        return found

    def _lives(self, view: SlotView) -> bool:
        move = self.pace.decide(view)
        pruned = move is not None and move.event is Event.PRUNE
        return view.stage is Stage.FOSSILIZED or (view.alive and not pruned)


def _waits(view: SlotView, ticks: int) -> bool:
    """No seed has been born in the slot in so many ticks."""
    return view.stage is Stage.DORMANT and view.age >= ticks


def _told(entry: Entry, seen: Observation) -> str:
    before = "" if entry.tick == seen.tick else f"as at tick {entry.tick}: "
    return before + verdict(entry, seen.raced)


def _numbers(entry: Entry, view: SlotView) -> dict[str, float]:
    """Those of the race; what was seen of the seed that raced belongs to its own slot."""
    numbers = entry.numbers()
    if view.site != entry.site:
        del numbers["drop"], numbers["race_steps"]
    return numbers


def _candidates(seen: Observation, places: Sequence[SlotView]) -> tuple[Candidate, ...]:
    trusts = {name: trust(*fates) for name, fates in seen.fates.items()}
    return tuple(
        Candidate(view.site, name, trusts.get(name, 1.0)) for view in places for name in view.sizes
    )


def losses(lost: Mapping[str, Lost], raced: tuple[Entry, ...]) -> dict[str, Lost]:
    """The races that nobody has won, by slot, after one more: none where somebody has."""
    if any(entry.won for entry in raced):
        return {}
    more = {
        entry.site: Lost(lost[entry.site].count + 1 if entry.site in lost else 1, entry.tick)
        for entry in raced
    }
    return {**lost, **more}


def account(raced: tuple[Entry, ...]) -> str:
    """What came of a race, in words."""
    won = [entry for entry in raced if entry.won] or [leader(raced)]
    return "; ".join(verdict(entry, raced) for entry in won)


def verdict(entry: Entry, raced: tuple[Entry, ...]) -> str:
    """What came of one that was held against a twin, in words."""
    rivals = sum(other.site == entry.site for other in raced) - 1
    said = "won against" if entry.won else "came before"
    fate = "" if entry.won else ", but is not surely worth its rent"
    bound = f"utility {entry.utility:.4f} nats a sample, surely above {entry.lower:.4f}"
    spread = f", tried in {' and '.join(entry.others)} as well" if entry.others else ""
    return f"{entry} {said} {rivals} others{spread}{fate}: {bound}"


def leader(raced: tuple[Entry, ...]) -> Entry:
    """The best of the candidates that were held against a twin, a winner where there is one."""
    judged = [entry for entry in raced if entry.gain is not None]
    return max(judged, key=lambda entry: (entry.won, entry.utility))
