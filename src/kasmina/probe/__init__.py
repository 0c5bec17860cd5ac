"""Where to grow: one forward and one backward score every (empty slot, blueprint) at once.

A newborn's output weights are zero, so the network with it is the network without it, and the only
gradient that it has is that of its output weights: E[G phi^T], where G = dL/dh is the gradient of
the loss by the features at the slot, and phi is what the newborn's body makes of them. Features and
G are captured at all empty slots in one pass; each newborn is then pulled back alone.
"""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kasmina.flops import countable, counter, few
from kasmina.graft import Grafted
from kasmina.probe.candidate import Candidate
from kasmina.probe.capture import LossOf, capture, plain
from kasmina.probe.evidence import Criterion, Evidence
from kasmina.probe.jackknife import summary
from kasmina.recipe import Recipe
from kasmina.rng import derive, undisturbed
from kasmina.stage import Stage

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
    if micro_batches < 1:
        raise ValueError(f"micro_batches is at least 1, not {micro_batches}")
    if model.twin is not None:
        raise ValueError("a probe needs the whole network on one rank: not with trainer=fsdp2")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(device), _eager(model):
        _reseed(device, derive("probe", run_seed))
        candidates = [
            Candidate(
                model,
                slot,
                blueprint=blueprint,
                name=name,
                operator=operator,
                run_seed=run_seed,
                curved=criterion.reads == "curvature",
            )
            for slot in model.at(Stage.DORMANT)
            for name, blueprint in blueprints.items()
            if slot.site.kind in blueprint.locate().kinds
        ]
        flops, samples = 0.0, 0
        if candidates and criterion.reads != "nothing":
            flops, samples = _measure(model, candidates, batches, loss_of, micro_batches)
        scores = [_judged(candidate, criterion) for candidate in candidates]
    return Probe(sorted(scores, key=_rank), flops, samples)


def _rank(score: Score) -> tuple[bool, float]:
    return math.isnan(score.value), -score.value  # of a loss that is not finite: last


def _eager(model: Grafted) -> AbstractContextManager[Any]:
    """A compiled graph knows nothing of the taps; only a model that is compiled needs this."""
    if model.compile_seed is None:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def _reseed(device: torch.device, seed: int) -> None:
    # torch.manual_seed would set the generators of all accelerators, of which one is put back
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _measure(
    model: Grafted,
    candidates: Sequence[Candidate],
    batches: Iterable[tuple[Any, Tensor]],
    loss_of: LossOf,
    micro_batches: int,
) -> tuple[float, int]:
    """Let every candidate see every batch; FLOPs and samples."""
    a_sample, samples = None, 0
    for batch in batches:
        inputs, targets = plain(batch[0]), plain(batch[1])
        if a_sample is None:
            a_sample = _flops_a_sample(model, candidates, inputs, targets, loss_of)
        _pass(model, candidates, inputs, targets, loss_of, micro_batches)
        samples += len(targets)
    if a_sample is None:
        raise ValueError("a probe needs at least one batch, and none came")
    if len(candidates[0].sizes) < 2:
        raise ValueError(
            "the error of a score is taken over at least 2 micro-batches, and 1 came; more "
            "samples, batches or micro_batches make more"
        )
    return a_sample * samples, samples


def _pass(
    model: Grafted,
    candidates: Sequence[Candidate],
    inputs: Any,
    targets: Tensor,
    loss_of: LossOf,
    micro_batches: int,
) -> None:
    passing = capture(model, model.at(Stage.DORMANT), inputs, targets, loss_of)
    for candidate in candidates:
        candidate.see(*passing[candidate.site.name], micro_batches)


def _flops_a_sample(
    model: Grafted,
    candidates: Sequence[Candidate],
    inputs: Any,
    targets: Tensor,
    loss_of: LossOf,
) -> float:
    """Counted on copies with few samples; solving for eigenvalues and the like is left out."""
    twin, newborns = copy.deepcopy((model, list(candidates)))
    for module in (twin, *(each.seed for each in newborns)):
        countable(module)
    asked = few(targets)
    with undisturbed(asked.device), counter() as counted:
        _pass(twin, newborns, few(inputs), asked, loss_of, 1)
    return counted.get_total_flops() / len(asked)


def _judged(candidate: Candidate, criterion: Criterion) -> Score:
    evidence = candidate.evidence()
    value, error, bias = summary(criterion.score(evidence))
    parameters = candidate.seed.num_parameters
    return Score(evidence.site, evidence.blueprint, value, error, parameters, bias)
