"""Prunes seeds that went bad, and lets a slot rest after a prune."""

import math
from collections.abc import Iterator

from lightning import Trainer

from kasmina.callbacks.base import GrowthCallback, change
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.stage import ALIVE, Event, Stage


class SeedPruning(GrowthCallback):
    """Whatever the controller thinks: a seed with a non-finite weight, or one that does more harm
    than ``max_harm``, goes; its slot is embargoed for ``cooldown`` ticks.

    Args:
        cooldown: ticks from the prune until the slot is dormant again.
        max_harm: the most that the validation metric may be better without a blending or holding
            seed; None never prunes for harm.

    Raises:
        ValueError: a cool-down below 1 tick, or a negative harm.
    """

    def __init__(self, *, cooldown: int = 3, max_harm: float | None = None) -> None:
        if cooldown < 1:
            raise ValueError(f"a cool-down takes at least 1 tick, not {cooldown}")
        if max_harm is not None and max_harm < 0:
            raise ValueError(f"max_harm is at least 0, not {max_harm}")
        self.cooldown = cooldown
        self.max_harm = max_harm

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Contributions are reduced over ranks, weights are equal on them: all decide alike."""
        for slot in module.model:
            for move in self.moves(module, slot.site.name):
                change(trainer, module, tick, move)

    def moves(self, module: GrowingModule, name: str) -> Iterator[Decision]:
        """What the slot has earned; the next move is asked for once the last one is made."""
        slot = module.model.slot(name)
        if (verdict := self.verdict(module, name)) is not None:
            yield verdict
            return
        rest = f"{self.cooldown} ticks of rest after a prune"
        if slot.stage is Stage.PRUNED:  # since the last tick
            yield Decision(name, Event.EMBARGO, rest, by="pruning")
        if slot.stage is Stage.EMBARGOED and slot.age + 1 >= self.cooldown:
            yield Decision(name, Event.RELEASE, f"{rest} are over", by="pruning")

    def verdict(self, module: GrowingModule, name: str) -> Decision | None:
        """The prune that this slot's seed has earned, if any."""
        slot = module.model.slot(name)
        if slot.stage not in ALIVE:
            return None
        if not all(bool(p.isfinite().all()) for p in slot.parameters()):
            return _prune(name, "a weight of the seed is not finite", {})
        harm = -module.contributions.get(name, 0.0)
        speaks = slot.stage in {Stage.BLENDING, Stage.HOLDING}
        if self.max_harm is None or not speaks or not (harm > self.max_harm or math.isnan(harm)):
            return None
        reason = f"the validation metric is {harm:.4f} better without the seed"
        return _prune(name, reason, {"harm": harm, "max_harm": self.max_harm})


def _prune(site: str, reason: str, numbers: dict[str, float]) -> Decision:
    return Decision(site, Event.PRUNE, reason, numbers=numbers, by="pruning")
