"""Where to grow: one forward and one backward score every (empty slot, blueprint) at once.

A newborn's output weights are zero, so the network with it is the network without it, and the only
gradient that it has is that of its output weights: E[G phi^T], where G = dL/dh is the gradient of
the loss by the features at the slot, and phi is what the newborn's body makes of them. Features and
G are captured at all empty slots in one pass; each newborn is then pulled back alone.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kasmina.graft import Grafted
from kasmina.probe.candidate import Candidate
from kasmina.probe.capture import LossOf
from kasmina.probe.evidence import Criterion, Evidence
from kasmina.probe.jackknife import summary
from kasmina.probe.measure import measure
from kasmina.recipe import Recipe

__all__ = ["Criterion", "Evidence", "Probe", "Score", "pooled", "probe"]


@dataclass(frozen=True)
class Score:
    """What a criterion says of one candidate.

    Args:
        value: of the mean gradient over all samples.
        error: standard error of ``value``, a jackknife over micro-batches.
        parameters: of the whole seed.
        bias: of ``value``, by the same jackknife; noise alone makes every norm larger.
    """

    site: str
    blueprint: str
    value: float
    error: float
    parameters: int
    bias: float = 0.0

    @property
    def corrected(self) -> float:
        """The value without its bias; below 0 where all of it may be noise."""
        return self.value - self.bias


@dataclass(frozen=True)
class Probe:
    """Every candidate, best first, and what asking has cost.

    Args:
        flops: of forward, backward and newborns over all samples, counted as the ledger counts.
        samples: that were looked at.
    """

    scores: list[Score]
    flops: float
    samples: int

    @property
    def pooled(self) -> dict[str, float]:
        """See ``pooled``."""
        return pooled(self.scores)


def pooled(scores: Iterable[Score]) -> dict[str, float]:
    """The score of each slot, best first: that of its best candidate.

    A mean would hold against a slot every small blueprint that fits it.
    """
    best: dict[str, float] = {}
    for score in scores:
        so_far = best.setdefault(score.site, -math.inf)
        best[score.site] = score.value if score.value > so_far else so_far  # nan never is
    return dict(sorted(best.items(), key=lambda item: -item[1]))


def probe(
    model: Grafted,
    batches: Iterable[tuple[Any, Tensor]],
    loss_of: LossOf,
    *,
    blueprints: Mapping[str, Recipe],
    operator: Recipe,
    run_seed: int,
    criterion: Criterion,
    micro_batches: int = 4,
) -> Probe:
    """Score every blueprint that fits in every dormant slot; live seeds keep their effect.

    The network runs in the mode that it is in, and stays bit for bit as it was: parameters, their
    ``grad``, buffers, random state. What draws a number draws it from ``run_seed``.

    Args:
        batches: (inputs, targets) as the model and ``loss_of`` take them, on the model's device.
        loss_of: the mean loss over a batch; no sample's loss may depend on another's target.
        blueprints, operator, run_seed: as ``nursery.germinate`` takes them.
        micro_batches: parts of each batch, over which the error is taken.

    Raises:
        ValueError: fewer than two micro-batches in all, a blueprint that is not the identity at
            birth, or a network of which this rank holds a share.
    """
    seen = measure(
        model,
        batches,
        loss_of,
        blueprints=blueprints,
        operator=operator,
        run_seed=run_seed,
        reads=criterion.reads,
        micro_batches=micro_batches,
    )
    scores = [_judged(candidate, criterion) for candidate in seen.candidates]
    return Probe(sorted(scores, key=_rank), seen.flops, seen.samples)


def _rank(score: Score) -> tuple[bool, float]:
    return math.isnan(score.value), -score.value  # of a loss that is not finite: last


def _judged(candidate: Candidate, criterion: Criterion) -> Score:
    evidence = candidate.evidence()
    value, error, bias = summary(criterion.score(evidence))
    parameters = candidate.seed.num_parameters
    return Score(evidence.site, evidence.blueprint, value, error, parameters, bias)
