"""Asks the controller, and applies what it decides."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning import Trainer

from kasmina.callbacks.base import GrowthCallback, change, of_type
from kasmina.callbacks.ticker import Ticker
from kasmina.control.base import Controller
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.lit import GrowingModule
from kasmina.nursery import sizes
from kasmina.slot import SeedSlot
from kasmina.stage import Event, after, hears

log = logging.getLogger(__name__)


class Lifecycle(GrowthCallback):
    """The controller sees an observation when validation ends; its plan waits for the tick.

    Args:
        controller: maps an observation to decisions.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.pending: list[Decision] = []
        self.history: list[float] = []
        self._sizes: dict[str, dict[str, int]] = {}

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Ask once, on the numbers of rank 0, and check that every move is legal."""
        seen = self.observe(trainer, module, tick)
        plan = trainer.strategy.broadcast(self.controller.decide(seen), src=0)
        check_plan(plan, seen)
        self.pending = plan

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Apply the plan; a move that the pruning of this very tick has made moot is left out."""
        plan, self.pending = self.pending, []
        for decision in plan:
            stage = module.model.slot(decision.site).stage
            if decision.event in hears(stage):
                change(trainer, module, tick, decision)
            else:
                log.info("%s: %s is moot while %s", decision.site, decision.event, stage)

    def observe(self, trainer: Trainer, module: GrowingModule, tick: int) -> Observation:
        """Everything that a decision may rest on: train and validation numbers."""
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if "test" not in k}
        monitored = metrics.get(f"val/{module.task.monitor}")
        if monitored is not None:
            self.history.append(module.task.sign * monitored)
        return Observation(
            tick=tick,
            ticks=next(of_type(trainer, Ticker)).ticks(trainer),
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            metrics=metrics,
            history=tuple(self.history),
            slots=tuple(self._view(module, slot, metrics) for slot in module.model),
        )

    def _view(
        self, module: GrowingModule, slot: SeedSlot, metrics: Mapping[str, float]
    ) -> SlotView:
        name, seed = slot.site.name, slot.seed
        if name not in self._sizes:
            growth = module.growth
            self._sizes[name] = sizes(slot.site, growth.blueprints, growth.operator)
        return SlotView(
            site=name,
            kind=slot.site.kind,
            width=slot.site.width,
            stage=slot.stage,
            age=slot.age,
            births=slot.births,
            alpha=slot.exact_alpha,
            blueprint=None if seed is None else seed.blueprint.name,
            parameters=0 if seed is None else seed.num_parameters,
            contribution=module.contributions.get(name),
            seed_loss=metrics.get("train/seed_loss") if slot.stage == "training" else None,
            sizes=self._sizes[name],
        )

    def state_dict(self) -> dict[str, Any]:
        """The plan that waits, and the metric so far, as plain values."""
        plan = [{**asdict(d), "event": str(d.event)} for d in self.pending]
        return {"pending": plan, "history": list(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Wait with the same plan."""
        self.history = list(state_dict["history"])
        self.pending = [
            Decision(**{**d, "event": Event(d["event"])}) for d in state_dict["pending"]
        ]


def check_plan(plan: list[Decision], seen: Observation) -> None:
    """Follow every move of a plan through the table.

    Raises:
        IllegalMove: a move that its slot will not hear when its turn comes.
    """
    stages = {view.site: view.stage for view in seen.slots}
    for decision in plan:
        if decision.site in stages:  # an unknown slot is named by the model itself
            stages[decision.site] = after(stages[decision.site], decision.event)
