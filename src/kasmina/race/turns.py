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
        groups: Sequence[Sequence[Contender]],
        entries: Mapping[Contender, Entry],
        *,
        room: int,
        most: float,
    ) -> dict[Contender, Entry]:
        """The entries of those that had their turn: gain, its bound, and whether they have won.

        Args:
            groups: in the order of their turns; the first of each has been through the halving, and
                stands for those that have their turn with it, as many as can be paid for.
            entries: as the halving has left them.
            room: groups that may win.
            most: FLOPs of the whole race; after the first nobody has a turn that would go beyond.
        """
        first, winners = groups[0][0].steps, list[Contender]()
        found: dict[Contender, Entry] = {}
        without = self._trained((), first)
        for whole in groups:
            left = most - self.meter.total
            group = self._affordable(winners, whole, left)
            tried = (*winners, *group)
            if found and self.price(tried) > left:
                break
            with_it = self._trained(tried, first)
            found[group[0]] = entry = self._judged(entries[group[0]], group, without - with_it)
            if entry.won:
                winners.extend(group)
                without = with_it
            if sum(entry.won for entry in found.values()) == room:
                break
        return found

    def _affordable(
        self, winners: Sequence[Contender], group: Sequence[Contender], left: float
    ) -> Sequence[Contender]:
        """The first, and as many of the others as can be paid for."""
        count = len(group)
        while count > 1 and self.price((*winners, *group[:count])) > left:
            count -= 1
        return group[:count]

    def price(self, seeds: Sequence[Contender]) -> float:
        """FLOPs of a turn of the network with these seeds."""
        forwards = 3 * self.samples * self.rules.twin + self.held_out
        return forwards * (1 + sum(each.flops for each in seeds)) * self.arena.flops_a_sample

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

    def _judged(self, entry: Entry, group: Sequence[Contender], gains: Tensor) -> Entry:
        gain, error = mean_and_error(gains)
        chance = (1 - self.rules.confidence) / self.candidates
        surely = gain - NormalDist().inv_cdf(1 - chance) * error
        rent, others = sum(e.rent for e in group), tuple(e.candidate.site for e in group[1:])
        lower = entry.believed(surely) - rent
        found = replace(entry, gain=gain, error=error, rent=rent, lower=lower, others=others)
        return replace(found, won=lower > 0)


def held_out_losses(network: Twin, terms: Terms, meter: Meter, kind: Hashable) -> Tensor:
    """Of each held-out sample. Shape: (N,), float64."""
    return torch.cat([meter.run(kind, batch, network.losses, batch) for batch in terms.held_out])


def mean_and_error(gains: Tensor) -> tuple[float, float]:
    """Mean and standard error; of a seed that is not finite the worst."""
    mean, error = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
    return (mean, error) if math.isfinite(mean + error) else (-math.inf, 0.0)
