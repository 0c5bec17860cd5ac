"""What a controller sees at a tick, and what it says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kasmina.control.entry import Entry, Lost
from kasmina.control.evidence import Evidence
from kasmina.control.promise import Promised
from kasmina.stage import ALIVE, Event, Stage


@dataclass(frozen=True)
class SlotView:
    """One slot at a tick.

    Args:
        site, kind, width: where the slot is and what passes there.
        stage, age: the stage, and how many ticks the slot has been in it.
        births: seeds that this slot has had.
        alpha: weight of the seed's output, in [0, 1].
        blueprint: the recipe of the seed, None without a seed.
        parameters: of the seed, 0 without one.
        contribution: validation metric with the seed minus without it, positive is better, None
            where it was not measured. An ablation: it overstates what the seed brought, because
            the host has adapted to it.
        seed_loss: mean incubation loss since the last observation, None without one.
        sizes: parameters that each fitting blueprint would have here, by name.
        evidence: of a paired test of the seed at this tick, None where the pace asks for none.
    """

    site: str
    kind: str
    width: int
    stage: Stage
    age: int
    births: int
    alpha: float
    blueprint: str | None
    parameters: int
    contribution: float | None
    seed_loss: float | None
    sizes: Mapping[str, int]
    evidence: Evidence | None = None

    @property
    def alive(self) -> bool:
        """Whether a seed is here whose fate is open."""
        return self.stage in ALIVE


@dataclass(frozen=True)
class Bill:
    """What races have cost and may cost, in FLOPs.

    Args:
        races: spent on them so far.
        last: spent on the last of them.
        limit: of the whole training; infinite where it is limited by other than FLOPs.
    """

    races: float = 0.0
    last: float = 0.0
    limit: float = math.inf


@dataclass(frozen=True)
class Observation:
    """The run at a tick. Train and validation numbers only.

    Args:
        tick: the tick at which decisions will be applied.
        ticks: the last tick of the run, None where it is not known.
        epoch, step: epochs and optimizer steps done.
        metrics: the last train and validation metrics by name.
        history: the monitored metric at every tick so far, its sign such that more is better.
        slots: every slot, in the host's order.
        raced: the candidates of the last race, empty before the first.
        lost: of each slot that was raced for since somebody last won, how many races those were.
        probed: what the last probe for a timing has found, None before the first.
        fates: of each blueprint, how many of its seeds were kept and how many were pruned so far.
        bill: what races have cost.
    """

    tick: int
    ticks: int | None
    epoch: int
    step: int
    metrics: Mapping[str, float]
    history: tuple[float, ...]
    slots: tuple[SlotView, ...]
    raced: tuple[Entry, ...] = ()
    lost: Mapping[str, Lost] = field(default_factory=dict)
    probed: Promised | None = None
    fates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    bill: Bill = field(default_factory=Bill)

    def slot(self, site: str) -> SlotView:
        """The view of one slot."""
        return next(view for view in self.slots if view.site == site)


@dataclass(frozen=True)
class Decision:
    """One move of one slot, with its reason and the numbers behind it.

    Args:
        site: the slot.
        event: what it is told.
        reason: a sentence.
        blueprint: the seed to germinate.
        target: the alpha that a blend ends at, None for the one of the configured ramp.
        numbers: what the decision rests on.
        by: who decided.
    """

    site: str
    event: Event
    reason: str
    blueprint: str | None = None
    target: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    by: str = "controller"
