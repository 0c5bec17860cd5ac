"""What each way picks at the time of the decision, and what asking has cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightning import Trainer
from omegaconf import OmegaConf
from oracle_runs import State, assembled

from kasmina.callbacks.base import GrowthCallback
from kasmina.callbacks.racing import hold_race
from kasmina.control.entry import Candidate, Rules, Wanted
from kasmina.control.race import leader
from kasmina.data.base import DataModule
from kasmina.hydra_api import compose
from kasmina.lit import GrowingModule
from kasmina.nursery import sizes
from kasmina.probing import criterion_of, training_batches
from kasmina.recipe import build

CRITERIA = ("dual", "gradmax", "natural")
_PROBED = 8  # batches, as of ``kasmina probe``


@dataclass(frozen=True)
class Pick:
    """What one way says.

    Args:
        candidates: one, or those among which a lot decides; none: nothing is grown.
        flops: of asking.
    """

    way: str
    candidates: tuple[Candidate, ...]
    flops: float = 0.0


class Asked(GrowthCallback):
    """At its tick asks every way, and ends the run.

    Attributes:
        picks: empty before that tick.
        loss: of the validation before it.
    """

    def __init__(self, tick: int, config: Mapping[str, Any], rules: Rules) -> None:
        self.tick, self.config, self.rules = tick, config, rules
        self.picks: list[Pick] = []
        self.loss = float("nan")

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """The network is as the candidates of the brute force find it."""
        if tick != self.tick:
            return
        self.loss = float(trainer.callback_metrics["val/loss"])
        known = _sizes(module)
        self.picks = [*_blind(known), *self._probed(trainer, module, known)]
        self.picks += self._raced(trainer, module, known)
        trainer.should_stop = True

    def _probed(
        self, trainer: Trainer, module: GrowingModule, known: Mapping[Candidate, int]
    ) -> list[Pick]:
        """Each criterion's best candidate, and the biggest at its best slot."""
        found = []
        for name in CRITERIA:
            data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
            batches = training_batches(module, data, _PROBED)
            probe = module.probe(batches, criterion=criterion_of(name, self.config))
            best = probe.scores[0]
            here = [each for each in known if each.site == next(iter(probe.pooled))]
            biggest = max(here, key=lambda each: known[each])
            found += [
                Pick(name, (Candidate(best.site, best.blueprint),), probe.flops),
                Pick(f"{name} slot, biggest", (biggest,), probe.flops),
            ]
        return found

    def _raced(
        self, trainer: Trainer, module: GrowingModule, known: Mapping[Candidate, int]
    ) -> list[Pick]:
        """The best entry, and what comes of the verdict on it."""
        found = []
        for way, rules in {
            "race": self.rules,
            "race, all slots": replace(self.rules, shortlist=None),
        }.items():
            wanted = Wanted(tuple(known), rules, "a decision is due")
            outcome = hold_race(trainer, module, wanted, self.tick)
            best = leader(outcome.entries)
            chosen = (Candidate(best.site, best.blueprint),)
            found += [
                Pick(way, chosen, outcome.flops),
                Pick(f"{way}, with its verdict", chosen if best.won else (), outcome.flops),
            ]
        return found


def asked(state: State) -> Asked:
    """Train up to the decision without growth, and ask."""
    with assembled(state, state.overrides()) as (run, config, _):
        asking = Asked(state.tick, config, rules_of(state))
        run.trainer.callbacks.append(asking)  # type: ignore[attr-defined]
        run.trainer.fit(run.module, run.data)
    return asking


def rules_of(state: State) -> Rules:
    """Of the race as ``controller=race`` has them."""
    config = compose([*state.overrides(), "controller=race"])
    made: Any = OmegaConf.to_container(OmegaConf.create({**config}).controller.race, resolve=True)
    return build(made)


def _sizes(module: GrowingModule) -> dict[Candidate, int]:
    growth = module.growth
    return {
        Candidate(slot.site.name, name): number
        for slot in module.model
        for name, number in sizes(slot.site, growth.blueprints, growth.operator).items()
    }


def _blind(known: Mapping[Candidate, int]) -> list[Pick]:
    """Ways that measure nothing. Among equals ``controller=biggest`` takes the first slot."""
    most = max(known.values())
    biggest = tuple(each for each, number in known.items() if number == most)
    sites = {each.site for each in known}
    widest = [
        max((each for each in known if each.site == site), key=lambda each: known[each])
        for site in sorted(sites)
    ]
    return [
        Pick("random", tuple(known)),
        Pick("biggest", biggest[:1]),
        Pick("random slot, biggest", tuple(widest)),
    ]
