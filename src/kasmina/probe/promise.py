"""What one step takes off the loss: of the newborn that promises most, and of the network's own
parameters.

The dual norm of a gradient says so to first order, but it grows with the number of parameters
(an l1 norm in proportion), noise makes it larger, and it knows nothing of curvature. Here steps
are taken instead: along the optimizer's direction of one half of the batches, in several sizes, and
the other half judges. The network is not changed: other weights are passed to its forward.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kasmina.flops import countable, counter, few
from kasmina.graft import Grafted
from kasmina.probe.candidate import Candidate
from kasmina.probe.capture import LossOf, plain, untouched
from kasmina.probe.dual import Dual
from kasmina.probe.jackknife import summary
from kasmina.probe.measure import Measured, eager, measure, reseed, trainable
from kasmina.recipe import Recipe
from kasmina.rng import derive, undisturbed

SIZES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Of the steps, in learning rates."""

Batch = tuple[Any, Tensor]
_Losses = Callable[[float], Tensor]


@dataclass(frozen=True)
class Promise:
    """A fall of the loss, of the best step size, and its standard error over judging batches."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        """The value minus its error."""
        return self.value - self.error


@dataclass(frozen=True)
class Promises:
    """Of the candidate (site, blueprint), and of the network by itself; FLOPs of all passes."""

    site: str
    blueprint: str
    seed: Promise
    own: Promise
    flops: float


def promises(
    model: Grafted,
    batches: Iterable[Batch],
    loss_of: LossOf,
    *,
    blueprints: Mapping[str, Recipe],
    operator: Recipe,
    run_seed: int,
    dual: Dual,
    lr: float,
) -> Promises:
    """Probe the network on the first half of the batches, and try steps on the other.

    Each slot sends the candidate whose score minus its standard error is best; of these the one
    with the best promise, again minus its error, is taken. The network stays bit for bit as it was,
    and runs in the mode that it is in; see ``kasmina.probe.probe``.

    Args:
        batches: at least 4.
        lr: learning rate of a step of size 1.

    Raises:
        ValueError: too few batches, no candidate; see ``kasmina.probe.probe``.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.inference_mode(False), undisturbed(device), eager(model):
        reseed(device, derive("promise", run_seed))
        drawn = [(plain(inputs), plain(targets)) for inputs, targets in batches]
        if len(drawn) < 4:
            raise ValueError(f"a promise takes at least 4 batches, not {len(drawn)}")
        half = len(drawn) // 2
        seen = measure(
            model,
            drawn[:half],
            loss_of,
            blueprints=blueprints,
            operator=operator,
            run_seed=run_seed,
            reads=dual.reads,
            micro_batches=1,
            own=True,
        )
        if not seen.candidates:
            raise ValueError("no empty slot that a blueprint fits promises anything")
        with torch.no_grad():
            trial = _Trial(model, drawn[half:], loss_of, run_seed)
            tried = [(each, trial.of_seed(each, dual, lr)) for each in _of_slots(seen, dual)]
            own = trial.of_network(seen.own, dual, lr)
            spent = trial.flops([each for each, _ in tried])
    best, seed = max(tried, key=lambda each: each[1].lower)
    return Promises(best.site.name, best.name, seed, own, seen.flops + spent)


def _of_slots(seen: Measured, dual: Dual) -> list[Candidate]:
    """Of each slot the candidate whose score minus its standard error is best."""
    best: dict[str, tuple[float, Candidate]] = {}
    for candidate in seen.candidates:
        value, error, _ = summary(dual.score(candidate.evidence()))
        site, lower = candidate.site.name, value - error
        if site not in best or lower > best[site][0]:  # nan never is
            best[site] = lower, candidate
    return [candidate for _, candidate in best.values()]


def best_fall(before: Tensor, after: _Losses) -> Promise:
    """Of the step size whose mean fall is the largest. Losses are those of each batch, (K,)."""
    falls = torch.stack([before - after(size) for size in SIZES]).nan_to_num(nan=-torch.inf)
    fall = falls[falls.mean(1).argmax()]
    return Promise(float(fall.mean()), float(fall.std() / len(fall) ** 0.5))


class _Trial:
    """Losses of the network, and of others that differ in some weights, on the same batches."""

    def __init__(
        self, model: Grafted, batches: Sequence[Batch], loss_of: LossOf, run_seed: int
    ) -> None:
        self.model, self.batches, self.loss_of, self.run_seed = model, batches, loss_of, run_seed
        self.before = self._losses()

    def of_network(self, gradients: Mapping[str, Tensor], dual: Dual, lr: float) -> Promise:
        weights = trainable(self.model)
        steps = {name: lr * dual.direction(g) for name, g in gradients.items()}
        return best_fall(
            self.before,
            lambda size: self._losses({n: w - size * steps[n] for n, w in weights.items()}),
        )

    def of_seed(self, candidate: Candidate, dual: Dual, lr: float) -> Promise:
        weights = {n: p for n, p in candidate.seed.named_parameters() if n in candidate.weights}
        born = {name: weight.clone() for name, weight in weights.items()}
        mean = candidate.mean_gradients()
        steps = {name: lr * dual.direction(mean[name]) for name in weights}

        def losses(size: float) -> Tensor:
            for name, weight in weights.items():
                weight.copy_(born[name] - size * steps[name])
            return self._losses()

        slot = self.model.slot(candidate.site.name)
        handle = slot.register_forward_hook(lambda _s, _i, h: candidate.seed(h, candidate.alpha))
        try:
            return best_fall(self.before, losses)
        finally:
            handle.remove()

    def flops(self, tried: Sequence[Candidate]) -> float:
        """Of all forwards, counted on copies with few samples."""
        inputs, targets = self.batches[0]
        twin, newborns = copy.deepcopy((self.model, tried))
        with undisturbed(targets.device), counter() as counted:
            untouched(countable(twin), few(inputs))
        with undisturbed(targets.device), counter() as inside:
            for each in newborns:
                countable(each.seed)(each.noise(), each.alpha)
        networks = 1 + len(SIZES) * (1 + len(tried))
        a_sample = networks * float(counted.get_total_flops()) / len(few(targets))
        a_sample += len(SIZES) * float(inside.get_total_flops()) / 2  # noise is of two samples
        return a_sample * sum(len(targets) for _, targets in self.batches)

    def _losses(self, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        losses = []
        for number, (inputs, targets) in enumerate(self.batches):
            reseed(targets.device, derive("promise", self.run_seed, number))  # the same dropout
            losses.append(self.loss_of(untouched(self.model, inputs, weights), targets).double())
        return torch.stack(losses)
