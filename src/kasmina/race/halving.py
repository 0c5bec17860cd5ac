"""Successive halving: candidates train a little, the better half of each slot twice as long, and so
on.

Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kasmina.control.entry import Candidate, Dear, Entry, Rules
from kasmina.graft import Grafted
from kasmina.race.arena import Arena
from kasmina.race.contender import Contender
from kasmina.race.meter import Meter
from kasmina.race.terms import Terms
from kasmina.race.turns import Turns, held_out_losses, mean_and_error
from kasmina.race.twin import Twin
from kasmina.rng import undisturbed


@dataclass(frozen=True)
class Outcome:
    """What a race has shown.

    Args:
        entries: every candidate as it was last measured, in the order in which they were given.
        flops: that the race has spent.
        weights: of each winner's seed, by site and name; empty without one, or where the rules do
            not keep them.
        dear: why it was not held, and has no entries; None where it was.
    """

    entries: tuple[Entry, ...]
    flops: float
    weights: dict[str, dict[str, Tensor]]
    dear: Dear | None = None


def race(
    model: Grafted,
    candidates: Sequence[Candidate],
    *,
    rules: Rules,
    terms: Terms,
    elsewhere: Sequence[Candidate] = (),
    room: int = 1,
    most: float = math.inf,
) -> Outcome:
    """Race the candidates on a copy of ``model``.

    The model, its buffers and the global random state stay as they are; what comes out is a pure
    function of the model, the candidates and the terms.

    Args:
        candidates: those of a slot whose turn beside a twin is to come first, first.
        elsewhere: in other slots than the one that is raced for; those of the best one's blueprint
            have their turn together with it, as many as the rules spread to and can be paid for,
            and win or lose with it.
        room: candidates that may win, one a slot; the others have no turn any more.
        most: FLOPs; no race is held that is expected to take more before a second seed has its turn
            beside a twin, and none has that would go beyond.

    Raises:
        ValueError: no candidate; or the rules spread, and several slots are raced for.
    """
    if not candidates:
        raise ValueError("a race needs at least 1 candidate")
    if rules.spread > 1 and len(sites := {candidate.site for candidate in candidates}) > 1:
        raise ValueError(f"a race that spreads is one for 1 slot, not {len(sites)}")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(device):
        found = _Race(model, candidates, elsewhere, rules, terms)
        if (expected := found.expected()) > most:
            return Outcome((), found.meter.total, {}, Dear(terms.tick, expected, most))
        return found.run(room, most)


class _Race:
    def __init__(
        self,
        model: Grafted,
        candidates: Sequence[Candidate],
        elsewhere: Sequence[Candidate],
        rules: Rules,
        terms: Terms,
    ) -> None:
        self.model, self.rules, self.terms, self.meter = model, rules, terms, Meter()
        self.arena = Arena(model, terms, {candidate.site for candidate in candidates})
        self.all = [self._contender(candidate) for candidate in candidates]
        self.elsewhere = elsewhere
        largest = max(len(own) for own in _by_site(self.all).values())
        self.rounds = max(1, math.ceil(math.log2(largest)))
        self.turns = Turns(
            model, rules=rules, arena=self.arena, meter=self.meter, candidates=len(self.all)
        )

    def _contender(self, candidate: Candidate) -> Contender:
        return Contender(self.arena, self.terms, self.rules, candidate)

    def expected(self) -> float:
        """FLOPs up to the end of the first turn, as if the dearest went on in each round, and a
        backward took two forwards."""
        samples, held_out = self.turns.samples, self.turns.held_out
        price = {each: each.look for each in self.all}
        forwards, alive = float(held_out), self.all
        for number in range(self.rounds):
            steps, looks = self.rules.steps * 2**number, sum(each.look for each in alive)
            forwards += samples * steps * (1 + 3 * looks) + held_out * (1 + looks)
            alive = _halves(alive, price)
        dearest = max(alive, key=lambda each: each.flops)
        turns = self.turns.price([]) + self.turns.price([dearest])
        return forwards * self.arena.flops_a_sample + turns

    def run(self, room: int, most: float) -> Outcome:
        """Halve until one is left in each slot, and compare those with twins, slot by slot."""
        still = held_out_losses(Twin(self.model, self.terms), self.terms, self.meter, "host")
        entries: dict[Contender, Entry] = {}
        alive = self.all
        for number in range(self.rounds):
            self._train(alive, self.rules.steps * 2**number)
            entries |= self._measure(alive, still)
            alive = _halves(alive, {each: self._so_far(entries[each]) for each in alive})
        tried = [self._with_others(each) for each in alive]
        entries |= self.turns.judge(tried, entries, room=room, most=most)
        ordered = tuple(entries[each] for each in self.all)
        kept = alive if self.rules.keep_weights else []
        weights = {e.candidate.site: e.weights() for e in kept if entries[e].won}
        return Outcome(ordered, self.meter.total, weights)

    def _with_others(self, best: Contender) -> tuple[Contender, ...]:
        """Those that have their turn with it, itself the first."""
        name = best.candidate.blueprint
        others = [each for each in self.elsewhere if each.blueprint == name]
        return (best, *map(self._contender, others[: self.rules.spread - 1]))

    def _so_far(self, entry: Entry) -> float:
        """The utility with the rent that is due by now: a big seed has not paid off at once."""
        due = entry.steps / (self.rules.steps * ((1 << self.rounds) - 1))
        return entry.believed(entry.drop) - entry.rent * due

    def _train(self, alive: Sequence[Contender], steps: int) -> None:
        sites = frozenset(each.candidate.site for each in alive)
        first = alive[0].steps
        for step in range(first, first + steps):
            self.terms.draw(self.arena.device, "batch", step)
            batch = self.terms.batch(step)
            self.terms.draw(self.arena.device, "prefix", step)
            prefix = self.meter.run(("prefix", sites), batch, self.arena.prefix, batch, sites, True)
            for each in alive:  # every candidate drops what the others drop
                self.terms.draw(self.arena.device, "step", step)
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
        candidate = each.candidate
        drop, error = mean_and_error(gains)
        return Entry(
            tick=self.terms.tick,
            site=candidate.site,
            blueprint=candidate.blueprint,
            parameters=each.seed.num_parameters,
            steps=each.steps,
            drop=drop,
            error=error,
            rent=each.rent,
            trust=candidate.trust,
        )


def _by_site(contenders: Sequence[Contender]) -> dict[str, list[Contender]]:
    found: dict[str, list[Contender]] = {}
    for each in contenders:
        found.setdefault(each.candidate.site, []).append(each)
    return found


def _halves(contenders: Sequence[Contender], by: Mapping[Contender, float]) -> list[Contender]:
    """The better half of each slot's; slots in the order in which they were given."""
    kept = []
    for own in _by_site(contenders).values():
        kept += sorted(own, key=lambda each: -by[each])[: math.ceil(len(own) / 2)]
    return kept
