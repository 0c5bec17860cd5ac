"""Moves alpha, and says when it has arrived."""

from lightning import Trainer

from kasmina.callbacks.base import GrowthCallback, change
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.stage import Event


class AlphaRamps(GrowthCallback):
    """Slots grow older with every validation; at a tick a blending alpha moves, and one at its
    target holds.
    """

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """One more tick of training lies behind every slot."""
        for slot in module.model:
            slot.age += 1

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """The same on every rank: it rests on the count of ticks alone."""
        for slot in module.model:
            if slot.advance():
                reason = f"alpha has arrived at {slot.exact_alpha:g}"
                numbers = {"alpha": slot.exact_alpha}
                move = Decision(slot.site.name, Event.HOLD, reason, numbers=numbers, by="ramp")
                change(trainer, module, tick, move)
