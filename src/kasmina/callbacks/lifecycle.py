"""Asks the controller, and applies what it decides."""

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from lightning import LightningModule, Trainer
from torch import Tensor

from kasmina.callbacks.base import GrowthCallback, announce, change, of_type, the
from kasmina.callbacks.budget import Budget
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.promising import PROBE, hold_probe, promise_line
from kasmina.callbacks.racing import RACE, dear_line, hold_race, line
from kasmina.callbacks.ticker import Ticker
from kasmina.control.base import Controller, Prober
from kasmina.control.entry import Dear, Entry, Lost
from kasmina.control.observation import Bill, Decision, Observation, SlotView
from kasmina.control.promise import Ask, Promised
from kasmina.control.race import Racer, losses
from kasmina.lit import GrowingModule
from kasmina.nursery import sizes
from kasmina.slot import SeedSlot
from kasmina.stage import ROLLBACK, Event, after, hears
from kasmina.suggest import unknown
from kasmina.surgery import Change

log = logging.getLogger(__name__)

W = TypeVar("W")
R = TypeVar("R")


class Lifecycle(GrowthCallback):
    """The controller sees an observation when validation ends; its plan waits for the tick.

    A controller may want the network probed or candidates raced before it decides; winners' weights
    wait with the plan that germinates them.

    Args:
        controller: maps an observation to decisions.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.pending: list[Decision] = []
        self.history: list[float] = []
        self.metrics: dict[str, float] = {}
        self.put_back = False
        self.probed: Promised | None = None
        self.raced: tuple[Entry, ...] = ()
        self.lost: dict[str, Lost] = {}
        self.race_flops = 0.0
        self.dear: Dear | None = None
        self.weights: dict[str, dict[str, Tensor]] = {}
        self._sizes: dict[str, dict[str, int]] = {}

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Ask once, on rank 0, and check that every move is legal."""
        seen = self.observe(trainer, module, tick)  # metrics that are reduced when they are read
        seen = self._race(trainer, module, self._probe(trainer, module, seen))
        plan = self.controller.decide(seen) if trainer.is_global_zero else []
        plan = self._of_rank_0(trainer, module, plan)
        if self.put_back:
            plan = possible(plan, seen)
        check_plan(plan, seen)
        self.pending = plan

    def _probe(self, trainer: Trainer, module: GrowingModule, seen: Observation) -> Observation:
        """Probe the network as the controller's timing asks, on rank 0, and tell the others."""
        if not isinstance(self.controller, Prober):
            return seen
        ask = self.controller.asks(seen) if trainer.is_global_zero else None
        outcome = _on_rank_0(trainer, module, ask, seen.tick, hold_probe)
        if outcome is None:
            return seen
        self.probed, flops = outcome
        the(trainer, Ledger).charge(PROBE, flops)
        return replace(seen, probed=self.probed)

    def _race(self, trainer: Trainer, module: GrowingModule, seen: Observation) -> Observation:
        """Hold the race that the controller wants, on rank 0, and tell the others."""
        if not isinstance(self.controller, Racer):
            return seen
        wanted = self.controller.wanted(seen) if trainer.is_global_zero else None
        outcome = _on_rank_0(trainer, module, wanted, seen.tick, hold_race)
        if outcome is None:
            return seen
        the(trainer, Ledger).charge(RACE, outcome.flops)
        if outcome.dear is not None:
            self.dear, self.race_flops = outcome.dear, outcome.dear.expected
            return seen
        self.race_flops = outcome.flops
        self.raced, self.weights = outcome.entries, outcome.weights
        self.lost = losses(self.lost, self.raced)
        return replace(seen, raced=self.raced, lost=self.lost)

    def _of_rank_0(
        self, trainer: Trainer, module: GrowingModule, plan: list[Decision]
    ) -> list[Decision]:
        """Rank 0's plan, and its numbers, so that whoever decides by them decides alike."""
        measured = (self.metrics, self.history, module.contributions, module.seed_losses)
        plan, measured = trainer.strategy.broadcast((plan, measured), src=0)
        self.metrics, self.history, module.contributions, module.seed_losses = measured
        return plan

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Apply the plan; a move that the pruning of this very tick has made moot is left out."""
        plan, self.pending = self.pending, []
        weights, self.weights = self.weights, {}
        if self.probed and self.probed.tick == tick:
            announce(trainer, module, tick, promise_line(self.probed))
        if self.dear and self.dear.tick == tick:
            announce(trainer, module, tick, dear_line(self.dear))
        if self.raced and self.raced[0].tick == tick:
            announce(trainer, module, tick, line(self.raced))
        for decision in plan:
            stage = module.model.slot(decision.site).stage
            if decision.event in hears(stage):
                born = decision.event is Event.GERMINATE
                grown = weights.get(decision.site, {}) if born else {}
                change(trainer, module, tick, decision, weights=grown)
            else:
                log.info("%s: %s is moot while %s", decision.site, decision.event, stage)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """A plan for a network that was put back is void, and a written one may no longer fit."""
        if change.event == ROLLBACK:
            self.pending, self.put_back, self.weights = [], True, {}

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
            raced=self.raced,
            lost=self.lost,
            probed=self.probed,
            fates=the(trainer, Ledger).fates(),
            bill=self._bill(trainer),
        )

    def _bill(self, trainer: Trainer) -> Bill:
        limit = min((budget.flops for budget in of_type(trainer, Budget)), default=math.inf)
        return Bill(the(trainer, Ledger).flops[RACE], self.race_flops, limit)

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
            evidence=module.evidence.get(name),
        )

    def state_dict(self) -> dict[str, Any]:
        """The plan that waits, and the metrics so far, as plain values."""
        plan = [{**asdict(d), "event": str(d.event)} for d in self.pending]
        seen = {"history": list(self.history), "metrics": dict(self.metrics)}
        raced = {
            "raced": [asdict(entry) for entry in self.raced],
            "lost": {site: asdict(lost) for site, lost in self.lost.items()},
            "weights": {site: dict(own) for site, own in self.weights.items()},
            "race_flops": self.race_flops,
            "dear": None if self.dear is None else asdict(self.dear),
        }
        probed = {"probed": None if self.probed is None else asdict(self.probed)}
        return {"pending": plan, **seen, "put_back": self.put_back, **probed, **raced}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Wait with the same plan."""
        self.history = list(state_dict["history"])
        self.metrics = dict(state_dict["metrics"])
        self.put_back = state_dict.get("put_back", False)
        probed = state_dict.get("probed")
        self.probed = (
            None if probed is None else Promised(**{**probed, "ask": Ask(**probed["ask"])})
        )
        self.raced = tuple(Entry(**entry) for entry in state_dict.get("raced", ()))
        self.lost = {site: Lost(**lost) for site, lost in state_dict.get("lost", {}).items()}
        self.race_flops = float(state_dict.get("race_flops", 0.0))
        dear = state_dict.get("dear")
        self.dear = None if dear is None else Dear(**dear)
        weights = state_dict.get("weights", {})
        self.weights = {site: dict(own) for site, own in weights.items()}
        self.pending = [
            Decision(**{**d, "event": Event(d["event"])}) for d in state_dict["pending"]
        ]


def possible(plan: list[Decision], seen: Observation) -> list[Decision]:
    """The plan without the moves that their slots will not hear."""
    stages = {view.site: view.stage for view in seen.slots}
    kept = []
    for decision in plan:
        stage = stages.get(decision.site)
        if stage is not None and decision.event not in hears(stage):
            log.info("%s: %s is moot while %s", decision.site, decision.event, stage)
            continue
        if stage is not None:
            stages[decision.site] = after(stage, decision.event)
        kept.append(decision)
    return kept


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


def _on_rank_0(
    trainer: Trainer,
    module: GrowingModule,
    wanted: W | None,
    tick: int,
    hold: Callable[[Trainer, GrowingModule, W, int], R],
) -> R | None:
    """What came of it, on all ranks; None where nothing is wanted."""
    mine = None if wanted is None else hold(trainer, module, wanted, tick)
    outcome: R | None = trainer.strategy.broadcast(mine, src=0)
    return outcome
