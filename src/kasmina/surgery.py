"""The one place where a network in training changes: a decision becomes a move of a slot, and the
optimizer follows."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.nursery import germinate
from kasmina.optim import GroupScheduler, add_group, drop_group
from kasmina.ramp import Ramp
from kasmina.slot import SeedSlot
from kasmina.stage import Event
from kasmina.suggest import unknown


@dataclass(frozen=True)
class Change:
    """A move that was made, as the record has it."""

    site: str
    event: str
    stage_from: str
    stage_to: str
    blueprint: str | None
    alpha: float
    parameters: int
    by: str
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Plain values for a line of JSON; numbers that JSON has no word for become strings."""
        row = asdict(self)
        row["from"], row["to"] = row.pop("stage_from"), row.pop("stage_to")
        row["numbers"] = {k: v if math.isfinite(v) else str(v) for k, v in self.numbers.items()}
        return row


def perform(
    module: GrowingModule, decision: Decision, weights: Mapping[str, Tensor] | None = None
) -> Change:
    """Make the move that was decided. Only between optimizer steps.

    Args:
        weights: that a seed begins with that germinates; None or empty: those of its birth.

    Raises:
        IllegalMove: the slot's stage does not hear the event; nothing has changed.
        ValueError: an unknown slot or blueprint, or a blueprint that does not fit.
    """
    slot = module.model.slot(decision.site)
    before, leaving = str(slot.stage), _identity(slot)
    if decision.event is Event.GERMINATE:
        _germinate(module, decision, weights)
    elif decision.event is Event.PRUNE:
        slot.move(Event.PRUNE)
        for optimizer in optimizers(module):
            drop_group(optimizer, decision.site)
        module.forget(decision.site)
    else:
        slot.move(decision.event, _ramp(module, slot, decision))
    blueprint, parameters = leaving if slot.seed is None else _identity(slot)
    return Change(
        site=decision.site,
        event=str(decision.event),
        stage_from=before,
        stage_to=str(slot.stage),
        blueprint=blueprint,
        alpha=slot.exact_alpha,
        parameters=parameters,
        by=decision.by,
        reason=decision.reason,
        numbers={name: float(value) for name, value in decision.numbers.items()},
    )


def _germinate(
    module: GrowingModule, decision: Decision, weights: Mapping[str, Tensor] | None
) -> None:
    growth = module.growth
    name = str(decision.blueprint)
    if name not in growth.blueprints:
        raise ValueError(unknown("blueprint", name, growth.blueprints))
    slot = germinate(
        module.model,
        decision.site,
        blueprint=growth.blueprints[name],
        operator=growth.operator,
        run_seed=growth.run_seed,
    )
    if weights and slot.seed is not None:
        slot.seed.load_state_dict(weights)
    for optimizer in optimizers(module):
        own = growth.seeds.own()
        add_group(optimizer, _scheduler(module), name=decision.site, seed=slot, own=own)


def _ramp(module: GrowingModule, slot: SeedSlot, decision: Decision) -> Ramp | None:
    if decision.event is not Event.BLEND:
        return None
    form = module.growth.ramp
    target = form.target if decision.target is None else decision.target
    return replace(form, target=target, start=slot.exact_alpha, done=0)


def _identity(slot: SeedSlot) -> tuple[str | None, int]:
    seed = slot.seed
    return (None, 0) if seed is None else (seed.blueprint.name, seed.num_parameters)


def optimizers(module: GrowingModule) -> list[Any]:
    """The trainer's, none without a trainer."""
    return [] if module._trainer is None else module.trainer.optimizers


def _scheduler(module: GrowingModule) -> GroupScheduler | None:
    configs = module.trainer.lr_scheduler_configs
    scheduler = configs[0].scheduler if configs else None
    return scheduler if isinstance(scheduler, GroupScheduler) else None
