"""A written rule: slots in turn, blueprints in rotation, prune on measured harm."""

from typing import final

from kasmina.control.base import Choice, Grower, next_in_turn
from kasmina.control.observation import Observation, SlotView
from kasmina.control.timing import Due


@final
class Heuristic(Grower):
    """Slots in turn; blueprints in the order in which the config names them."""

    def choose(self, seen: Observation, places: list[SlotView], due: Due) -> list[Choice]:
        """The next slot in turn and the next blueprint in rotation."""
        view = next_in_turn(places)
        turn = sum(slot.births for slot in seen.slots)
        names = list(view.sizes)
        blueprint = names[turn % len(names)]
        return [Choice(view, blueprint, f"{blueprint} is number {turn} of the rotation")]
