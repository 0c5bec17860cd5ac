"""What a run folder says, as frozen records. FLOPs are counts of operations, not a rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kasmina.stage import Stage


@dataclass(frozen=True, slots=True)
class Moment:
    """When: the tick, the epoch counted from 0, the optimizer steps done."""

    tick: int
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """One validation end. FLOPs are cumulative; ``flops`` counts all, the other two are parts."""

    when: Moment
    wall_s: float
    flops: float
    incubation_flops: float
    evaluation_flops: float
    parameters: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Occupant:
    """The seed of a slot; ``blueprint`` is empty where there is none."""

    blueprint: str
    alpha: float
    parameters: int


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot at one validation.

    Args:
        contribution: how much better the metric is with the seed than without; positive is good
            also where the metric is to fall. For a seed in training: what it would bring at
            alpha 1. nan where it was not measured.
    """

    when: Moment
    site: str
    stage: Stage
    seed: Occupant
    contribution: float
    seed_loss: float


@dataclass(frozen=True, slots=True)
class Decision:
    """One move of one slot, who decided it and why."""

    when: Moment
    site: str
    event: str
    before: Stage
    after: Stage
    seed: Occupant
    by: str
    reason: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SeedBill:
    """What one seed cost, kept or not."""

    site: str
    blueprint: str
    germinated_tick: int
    fate: str
    flops: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the FLOPs and the seconds went, by part, and by seed; what was compiled in all."""

    flops: Mapping[str, float]
    wall_s: Mapping[str, float]
    seeds: tuple[SeedBill, ...]
    compiled: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric that a run is judged by, and whether ``max`` or ``min`` is better."""

    monitor: str
    mode: str

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better; nan is never better."""
        return value < than if self.mode == "min" else value > than


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of the monitored metric, and when."""

    value: float
    epoch: int
    tick: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many: of the host, of the seeds kept, and of the network at the end."""

    host: int
    grown: int
    total: int


@dataclass(frozen=True, slots=True)
class SeedCounts:
    """How many seeds were kept, pruned, or had no fate yet at the end."""

    kept: int
    pruned: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What the run took: epochs, optimizer steps, seconds, training FLOPs."""

    epochs: int
    steps: int
    wall_s: float
    flops: float


@dataclass(frozen=True, slots=True)
class Score:
    """The best validation (if any), the last value of each metric, and the test (if any)."""

    best: Best | None
    final: Mapping[str, float]
    test: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the run is called and how it came out.

    Args:
        status: ``finished``, ``diverged``, ``interrupted``, ``pruned``, ``failed`` or
            ``unfinished``.
        reason: why it did not finish, where the record says so.
    """

    name: str
    status: str
    seed: int | None
    controller: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in short."""

    labels: Labels
    goal: Goal
    score: Score
    parameters: Parameters
    seeds: SeedCounts
    spent: Spent
    checkpoints: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """A run folder. Where it has no summary.json yet, the summary is drawn from the rest."""

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    summary: Summary
    metrics: tuple[Metrics, ...]
    timeline: tuple[SlotState, ...]
    events: tuple[Decision, ...]
    ledger: Ledger

    @property
    def goal(self) -> Goal:
        """What the run is judged by."""
        return self.summary.goal

    @property
    def status(self) -> str:
        """``finished``, ``diverged``, ``interrupted``, ``pruned``, ``failed`` or ``unfinished``."""
        return self.summary.labels.status

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites of the slots, in the order of the record."""
        return tuple(dict.fromkeys(state.site for state in self.timeline))
