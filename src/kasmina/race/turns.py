"""Whether to grow: each slot's best, in turn, is held against a twin of the network without it.

A seed behind a still host gets the credit for what the host would have learned by itself, and for
batch statistics that follow the weights; against a twin it does not. A seed that wins is part of
both twins from then on, so that the next one has to bring something beside it.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import torch
from torch import Tensor

from kasmina.control.entry import Entry, Rules
from kasmina.graft import Grafted
from kasmina.race.arena import Arena
from kasmina.race.contender import Contender
from kasmina.race.meter import Meter
from kasmina.race.terms import Terms
from kasmina.race.twin import Twin


class Turns:
    """Copies of one network, which train from the same state on the same batches.

    Args:
        model, rules, arena: of the race.
        meter: that all is charged to.
        candidates: that began; a bound holds for the best of as many, because the samples that
            judge are also those that chose.

    Attributes:
        samples: of a training batch.
        held_out: samples that judge.
    """

    def __init__(
        self, model: Grafted, *, rules: Rules, arena: Arena, meter: Meter, candidates: int
    ) -> None:
        self.model, self.rules, self.arena, self.meter = model, rules, arena, meter
        self.terms, self.candidates = arena.terms, candidates
        self.samples = len(self.terms.batch(0)[1])
        self.held_out = sum(len(batch[1]) for batch in self.terms.held_out)

    def judge(
        self,
        bests: Sequence[Contender],
        entries: Mapping[Contender, Entry],
        *,
        room: int,
        most: float,
    ) -> dict[Contender, Entry]:
        """The entries of those that had their turn: gain, its bound, and whether they have won.

        Args:
            bests: in the order of their turns; as many optimizer steps old, each.
            entries: as the halving has left them.
            room: seeds that may win.
            most: FLOPs of the whole race; after the first nobody has a turn that would go beyond.
        """
        first, winners = bests[0].steps, list[Contender]()
        found: dict[Contender, Entry] = {}
        without = self._trained((), first)
        for each in bests:
            tried = (*winners, each)
            if found and self.meter.total + self.price([e.flops for e in tried]) > most:
                break
            with_it = self._trained(tried, first)
            found[each] = self._judged(entries[each], without - with_it)
            if found[each].won:
                winners.append(each)
                without = with_it
            if len(winners) == room:
                break
        return found

    def price(self, seeds: Sequence[float]) -> float:
        """FLOPs of a network with seeds that cost so many of its forwards."""
        forwards = (3 * self.samples * self.rules.twin + self.held_out) * (1 + sum(seeds))
        return forwards * self.arena.flops_a_sample

    def _trained(self, seeds: Sequence[Contender], first: int) -> Tensor:
        """Held-out losses of the network that trains on from batch ``first`` with these seeds."""
        network, kind = Twin(self.model, self.terms, seeds), frozenset(seeds)
        for done in range(self.rules.twin):
            step, left = first + done, 1 - done / self.rules.twin
            self.terms.draw(self.arena.device, "batch", step)
            batch = self.terms.batch(step)
            self.terms.draw(self.arena.device, "step", step)
            self.meter.run(("twin", kind), batch, network.step, batch, left)
        return held_out_losses(network, self.terms, self.meter, ("twin look", kind))

    def _judged(self, entry: Entry, gains: Tensor) -> Entry:
        gain, error = mean_and_error(gains)
        chance = (1 - self.rules.confidence) / self.candidates
        surely = gain - NormalDist().inv_cdf(1 - chance) * error
        lower = entry.believed(surely) - entry.rent
        return replace(entry, gain=gain, error=error, lower=lower, won=lower > 0)


def held_out_losses(network: Twin, terms: Terms, meter: Meter, kind: Hashable) -> Tensor:
    """Of each held-out sample. Shape: (N,), float64."""
    return torch.cat([meter.run(kind, batch, network.losses, batch) for batch in terms.held_out])


def mean_and_error(gains: Tensor) -> tuple[float, float]:
    """Mean and standard error; of a seed that is not finite the worst."""
    mean, error = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
    return (mean, error) if math.isfinite(mean + error) else (-math.inf, 0.0)
