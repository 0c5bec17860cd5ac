"""Successive halving: all candidates train a little, the better half twice as long, and so on.

Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from kasmina.control.entry import Candidate, Dear, Entry, Rules
from kasmina.graft import Grafted
from kasmina.race.arena import Arena
from kasmina.race.contender import Contender
from kasmina.race.meter import Meter
from kasmina.race.terms import Terms
from kasmina.race.twin import Twin
from kasmina.rng import derive, undisturbed


@dataclass(frozen=True)
class Outcome:
    """What a race has shown.

    Args:
        entries: every candidate as it was last measured, in the order in which they were given.
        flops: that the race has spent.
        weights: of the winner's seed, by name; empty without a winner.
        dear: why it was not held, and has no entries; None where it was.
    """

    entries: tuple[Entry, ...]
    flops: float
    weights: dict[str, Tensor]
    dear: Dear | None = None


def race(
    model: Grafted,
    candidates: Sequence[Candidate],
    *,
    rules: Rules,
    terms: Terms,
    most: float = math.inf,
) -> Outcome:
    """Race the candidates on a copy of ``model``.

    The model, its buffers and the global random state stay as they are; what comes out is a pure
    function of the model, the candidates and the terms.

    Args:
        most: FLOPs; no race is held that is expected to take more.

    Raises:
        ValueError: no candidate.
    """
    if not candidates:
        raise ValueError("a race needs at least 1 candidate")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(device):
        found = _Race(model, candidates, rules, terms)
        if (expected := found.expected()) > most:
            return Outcome((), found.meter.total, {}, Dear(terms.tick, expected, most))
        return found.run()


class _Race:
    def __init__(
        self, model: Grafted, candidates: Sequence[Candidate], rules: Rules, terms: Terms
    ) -> None:
        self.model, self.rules, self.terms, self.meter = model, rules, terms, Meter()
        self.arena = Arena(model, terms, {candidate.site for candidate in candidates})
        self.all = [
            Contender(self.arena, terms, candidate, rate=rules.rate) for candidate in candidates
        ]
        self.num_host = sum(p.numel() for p in model.host.parameters())
        self.rounds = max(1, math.ceil(math.log2(len(candidates))))

    def expected(self) -> float:
        """FLOPs, as if the dearest went on in each round and no forward was shared; a backward
        takes two forwards."""
        samples = len(self.terms.batch(0)[1])
        held_out = sum(len(batch[1]) for batch in self.terms.held_out)
        dearest = sorted((1 + each.flops for each in self.all), reverse=True)
        forwards, alive = float(held_out), len(self.all)
        for number in range(self.rounds):
            seen = 3 * samples * self.rules.steps * 2**number + held_out
            forwards += seen * sum(dearest[:alive])
            alive = math.ceil(alive / 2)
        forwards += (3 * samples * self.rules.twin + held_out) * (1 + dearest[0])
        return forwards * self.arena.flops_a_sample

    def run(self) -> Outcome:
        """Halve until one is left, and compare that one with a twin."""
        still = self._losses("host", Twin(self.model, self.terms, None))
        entries: dict[Contender, Entry] = {}
        alive = self.all
        for number in range(self.rounds):
            self._train(alive, self.rules.steps * 2**number)
            entries |= self._measure(alive, still)
            ranked = sorted(alive, key=lambda each: -self._so_far(entries[each]))
            alive = ranked[: math.ceil(len(alive) / 2)]
        (best,) = alive
        weights = best.weights()
        entries[best] = self._judge(best, entries[best])
        ordered = tuple(entries[each] for each in self.all)
        return Outcome(ordered, self.meter.total, weights if entries[best].won else {})

    def _so_far(self, entry: Entry) -> float:
        """The utility with the rent that is due by now: a big seed has not paid off at once."""
        due = entry.steps / (self.rules.steps * ((1 << self.rounds) - 1))
        return entry.believed(entry.drop) - entry.rent * due

    def _judge(self, best: Contender, entry: Entry) -> Entry:
        """The bound holds for the best of as many as have begun: these samples chose it."""
        twins = {
            "with": Twin(self.model, self.terms, best),
            "without": Twin(self.model, self.terms, None),
        }
        for done in range(self.rules.twin):
            step, left = best.steps + done, 1 - done / self.rules.twin
            self._draw("batch", step)
            batch = self.terms.batch(step)
            for name, twin in twins.items():
                self._draw("step", step)
                self.meter.run(("twin", name), batch, twin.step, batch, left)
        losses = {name: self._losses(("twin look", name), twin) for name, twin in twins.items()}
        gain, error = _mean(losses["without"] - losses["with"])
        chance = (1 - self.rules.confidence) / len(self.all)
        surely = gain - NormalDist().inv_cdf(1 - chance) * error
        lower = entry.believed(surely) - entry.rent
        return replace(entry, gain=gain, error=error, lower=lower, won=lower > 0)

    def _train(self, alive: Sequence[Contender], steps: int) -> None:
        sites = frozenset(each.candidate.site for each in alive)
        first = alive[0].steps
        for step in range(first, first + steps):
            self._draw("batch", step)
            batch = self.terms.batch(step)
            self._draw("prefix", step)
            prefix = self.meter.run(("prefix", sites), batch, self.arena.prefix, batch, sites, True)
            for each in alive:
                self._draw("step", step)  # every candidate drops what the others drop
                left = 1 - (step - first) / steps
                self.meter.run(("step", each), batch, each.step, batch, prefix, left)

    def _measure(self, alive: Sequence[Contender], still: Tensor) -> dict[Contender, Entry]:
        sites = frozenset(each.candidate.site for each in alive)
        losses: dict[Contender, list[Tensor]] = {each: [] for each in alive}
        for batch in self.terms.held_out:
            prefix = self.meter.run(("look", sites), batch, self.arena.prefix, batch, sites, False)
            for each in alive:
                found = self.meter.run(("look", each), batch, each.losses, batch, prefix)
                losses[each].append(found)
        return {each: self._entry(each, still - torch.cat(losses[each])) for each in alive}

    def _entry(self, each: Contender, gains: Tensor) -> Entry:
        candidate, parameters = each.candidate, each.seed.num_parameters
        rent = self.rules.price_parameters * parameters / self.num_host
        rent += self.rules.price_flops * each.flops
        drop, error = _mean(gains)
        return Entry(
            tick=self.terms.tick,
            site=candidate.site,
            blueprint=candidate.blueprint,
            parameters=parameters,
            steps=each.steps,
            drop=drop,
            error=error,
            rent=rent,
            trust=candidate.trust,
        )

    def _losses(self, kind: Hashable, network: Twin) -> Tensor:
        return torch.cat(
            [self.meter.run(kind, batch, network.losses, batch) for batch in self.terms.held_out]
        )

    def _draw(self, what: str, step: int) -> None:
        """All that is drawn from here on comes from the run's seed, the tick and the step."""
        seed = derive("race", self.terms.run_seed, self.terms.tick, what, step)
        torch.default_generator.manual_seed(seed)
        if self.arena.device.type == "cuda":
            with torch.cuda.device(self.arena.device):
                torch.cuda.manual_seed(seed)


def _mean(gains: Tensor) -> tuple[float, float]:
    """Mean and standard error; of a seed that is not finite the worst."""
    mean, error = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
    return (mean, error) if math.isfinite(mean + error) else (-math.inf, 0.0)
