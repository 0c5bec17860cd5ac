"""Asks the controller, and applies what it decides."""

import logging
from dataclasses import asdict
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.callbacks.base import GrowthCallback, change, the
from kasmina.callbacks.ticker import Ticker
from kasmina.control.base import Controller
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.lit import GrowingModule
from kasmina.nursery import sizes
from kasmina.slot import SeedSlot
from kasmina.stage import Event, after, hears
from kasmina.suggest import unknown

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
        self.metrics: dict[str, float] = {}
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
        self._watch(trainer)
        monitored = self.metrics.get(f"val/{module.task.monitor}")
        if monitored is not None:
            self.history.append(module.task.sign * monitored)
        return Observation(
            tick=tick,
            ticks=the(trainer, Ticker).ticks(trainer),
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            metrics=dict(self.metrics),
            history=tuple(self.history),
            slots=tuple(self._view(module, slot) for slot in module.model),
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the numbers: the trainer of a resumed run has forgotten them."""
        self._watch(trainer)

    def _watch(self, trainer: Trainer) -> None:
        seen = trainer.callback_metrics.items()
        self.metrics |= {k: float(v) for k, v in seen if not k.startswith("test/")}

    def _view(self, module: GrowingModule, slot: SeedSlot) -> SlotView:
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
            seed_loss=module.seed_losses.get(name),
            sizes=self._sizes[name],
        )

    def state_dict(self) -> dict[str, Any]:
        """The plan that waits, and the metrics so far, as plain values."""
        plan = [{**asdict(d), "event": str(d.event)} for d in self.pending]
        return {"pending": plan, "history": list(self.history), "metrics": dict(self.metrics)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Wait with the same plan."""
        self.history = list(state_dict["history"])
        self.metrics = dict(state_dict["metrics"])
        self.pending = [
            Decision(**{**d, "event": Event(d["event"])}) for d in state_dict["pending"]
        ]


def check_plan(plan: list[Decision], seen: Observation) -> None:
    """Follow every move of a plan through the table, so that a wrong plan changes nothing.

    Raises:
        IllegalMove: a move that its slot will not hear when its turn comes.
        ValueError: an unknown slot, or a germination of a blueprint that its slot does not take.
    """
    stages = {view.site: view.stage for view in seen.slots}
    for decision in plan:
        if decision.site not in stages:
            raise ValueError(unknown("slot", decision.site, stages))
        stages[decision.site] = after(stages[decision.site], decision.event)
        sizes = seen.slot(decision.site).sizes
        if decision.event is Event.GERMINATE and decision.blueprint not in sizes:
            what = f"blueprint for slot {decision.site!r}"
            raise ValueError(unknown(what, str(decision.blueprint), sizes))
