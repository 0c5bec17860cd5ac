"""A written timeline: what happens where at which tick."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from kasmina.control.observation import Decision, Observation
from kasmina.control.pace import Pace
from kasmina.stage import Event
from kasmina.suggest import unknown

_KEYS = {"at", "site", "do", "blueprint", "target"}
_EVENTS = {str(event): event for event in Event}


@final
class Schedule:
    """Does what its timeline says.

    Args:
        timeline: entries ``{at: tick, site: name, do: event, blueprint: name, target: alpha}``;
            ``blueprint`` for a germinate, ``target`` for a blend (left out: the ramp's own).
        pace: leads seeds through the moves that the timeline leaves open; None leaves them where
            they are.

    Raises:
        ValueError: an entry with an unknown key or event, without tick, site or event, at no
            tick, with a target that is no alpha, or a germinate without a blueprint.
    """

    def __init__(self, *, timeline: Sequence[Mapping[str, Any]], pace: Pace | None = None) -> None:
        self.entries = [_read(entry) for entry in timeline]
        self.pace = pace

    def decide(self, seen: Observation) -> list[Decision]:
        """The entries of this tick, then the pace of the slots without one."""
        written = [decision for tick, decision in self.entries if tick == seen.tick]
        busy = {decision.site for decision in written}
        if self.pace is None:
            return written
        free = [view for view in seen.slots if view.site not in busy]
        return written + [move for view in free if (move := self.pace.decide(view))]


def _read(entry: Mapping[str, Any]) -> tuple[int, Decision]:
    for key in entry:
        if key not in _KEYS:
            raise ValueError(unknown("key in a timeline entry", key, _KEYS))
    missing = {"at", "site", "do"} - set(entry)
    if missing:
        raise ValueError(f"timeline entry {dict(entry)} lacks {', '.join(sorted(missing))}")
    if entry["do"] not in _EVENTS:
        raise ValueError(unknown("event in a timeline entry", str(entry["do"]), _EVENTS))
    event = _EVENTS[entry["do"]]
    if event is Event.GERMINATE and not entry.get("blueprint"):
        raise ValueError(f"timeline entry {dict(entry)} germinates without a blueprint")
    at, target = entry["at"], entry.get("target")
    if not isinstance(at, int) or at < 1:
        raise ValueError(f"timeline entry {dict(entry)}: at is a tick, a whole number from 1 on")
    if target is not None and not 0 <= target <= 1:
        raise ValueError(f"timeline entry {dict(entry)}: a target is an alpha in [0, 1]")
    return at, Decision(
        entry["site"],
        event,
        f"the timeline says so at tick {at}",
        blueprint=entry.get("blueprint"),
        target=target,
    )
