"""Always the biggest blueprint: the baseline that beats most published criteria."""

from typing import final

from kasmina.control.base import Choice, Grower, next_in_turn
from kasmina.control.observation import Observation, SlotView
from kasmina.control.timing import Due


@final
class Biggest(Grower):
    """Slots in turn, in each the blueprint with the most parameters."""

    def choose(self, seen: Observation, places: list[SlotView], due: Due) -> list[Choice]:
        """The next slot in turn and its biggest blueprint."""
        view = next_in_turn(places)
        blueprint = max(view.sizes, key=lambda name: (view.sizes[name], name))
        why = f"{blueprint} is the biggest of {len(view.sizes)} blueprints here"
        return [Choice(view, blueprint, why)]
