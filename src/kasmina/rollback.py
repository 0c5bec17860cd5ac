"""Put a run back to a snapshot, and say of every slot what became of it."""

from dataclasses import dataclass

from kasmina.control.observation import Decision
from kasmina.graft import Grafted
from kasmina.lit import GrowingModule
from kasmina.optim import drop_group
from kasmina.slot import SeedSlot
from kasmina.stage import ALIVE, ROLLBACK, Event, Stage
from kasmina.surgery import Change, optimizers

EVERYWHERE = "*"
"""The site of a rollback's own line in the record."""
SPEAKS = (Stage.BLENDING, Stage.HOLDING)
"""Stages whose seed reaches the network and can be pruned; first the one that changes most."""


@dataclass(frozen=True)
class Stand:
    """Where a slot stood before the rollback."""

    stage: Stage
    age: int
    births: int
    alpha: float
    blueprint: str | None
    parameters: int


def stands(model: Grafted) -> dict[str, Stand]:
    """Where every slot stands."""
    return {slot.site.name: _stand(slot) for slot in model}


def culprit(model: Grafted) -> str | None:
    """The seed that was changing the network: the youngest that blends, else that holds.

    A seed in training is none: it reaches nothing of the host.
    """
    for stage in SPEAKS:
        if slots := model.at(stage):
            return min(slots, key=lambda slot: slot.age).site.name
    return None


def reconcile(module: GrowingModule, before: dict[str, Stand], reason: str) -> list[Change]:
    """After a restore: what was decided since stays decided where it was a prune.

    A seed that has left since the snapshot does not come back, and one that was born since leaves
    its slot to rest as after a prune. Births are never counted twice, so that no seed is drawn
    again.

    Returns:
        a change for each slot that stands elsewhere than before.
    """
    changes = []
    for slot in module.model:
        name, then = slot.site.name, before[slot.site.name]
        same = slot.seed is not None and then.blueprint is not None and slot.births == then.births
        if slot.seed is not None and not same:
            _remove(module, slot)
        if not same:
            born_since = then.blueprint is not None
            stage = Stage.PRUNED if born_since else then.stage
            slot.restore(stage, age=0 if born_since else then.age, births=then.births)
        if slot.stage is not then.stage or slot.exact_alpha != then.alpha:
            changes.append(_change(name, then, slot, reason))
    return changes


def whole(reason: str, numbers: dict[str, float]) -> Change:
    """The line of the rollback itself."""
    still = str(Stage.DORMANT)
    return Change(EVERYWHERE, ROLLBACK, still, still, None, 0.0, 0, "governor", reason, numbers)


def verdict(module: GrowingModule, site: str | None, reason: str) -> Decision | None:
    """The prune of the culprit, where the rollback has not emptied its slot already."""
    if site is None or module.model.slot(site).stage not in ALIVE:
        return None
    return Decision(site, Event.PRUNE, reason, by="governor")


def _remove(module: GrowingModule, slot: SeedSlot) -> None:
    slot.move(Event.PRUNE)
    for optimizer in optimizers(module):
        drop_group(optimizer, slot.site.name)
    module.forget(slot.site.name)


def _stand(slot: SeedSlot) -> Stand:
    seed = slot.seed
    name, size = (None, 0) if seed is None else (seed.blueprint.name, seed.num_parameters)
    return Stand(slot.stage, slot.age, slot.births, slot.exact_alpha, name, size)


def _change(site: str, then: Stand, slot: SeedSlot, reason: str) -> Change:
    return Change(
        site=site,
        event=ROLLBACK,
        stage_from=str(then.stage),
        stage_to=str(slot.stage),
        blueprint=then.blueprint,
        alpha=slot.exact_alpha,
        parameters=then.parameters,
        by="governor",
        reason=reason,
    )
