"""A seed taken out of a finished network, also a fossilized one, which no decision of a run may."""

from kasmina.lit import GrowingModule
from kasmina.stage import Stage


def remove(module: GrowingModule, site: str) -> None:
    """Leave the slot as one in which nothing has grown. Not while a trainer holds the module.

    Raises:
        ValueError: no slot of that name.
    """
    slot = module.model.slot(site)
    slot.seed = slot.penalty = None
    slot.set_ramp(None)
    slot.restore(Stage.DORMANT, age=0, births=slot.births)
    module.forget(site)
