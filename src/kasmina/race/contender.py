"""A candidate in its race: a seed, its optimizer, and the batch statistics that it has met."""

import torch
from torch import Tensor

from kasmina.control.entry import Candidate, Rules
from kasmina.nursery import like_host, newborn
from kasmina.race.arena import Arena
from kasmina.race.prefix import Prefix
from kasmina.race.slowed import slowed
from kasmina.race.terms import Batch, Terms


class Contender:
    """Trains as a seed that is fully blended in, behind a host that stands still.

    Args:
        arena, terms, rules, candidate: of the race.

    Attributes:
        steps: optimizer steps so far.
        flops: of its forward, over that of the network without it.
        rent: what it has to bring, in nats.
    """

    def __init__(self, arena: Arena, terms: Terms, rules: Rules, candidate: Candidate) -> None:
        self.arena, self.terms, self.candidate = arena, terms, candidate
        slot = arena.model.slot(candidate.site)
        born = newborn(
            slot,
            blueprint=terms.blueprints[candidate.blueprint],
            operator=terms.operator,
            run_seed=terms.run_seed,
        )
        self.seed = like_host(born, arena.model.host)
        self.optimizer = terms.optimizer(list(self.seed.parameters()))
        for group in self.optimizer.param_groups:
            group["lr"] *= rules.rate
        self.buffers = arena.buffers()
        self.steps = 0
        self.flops = arena.seed_flops(candidate.site, self.seed)
        self.rent = rules.rent(self.seed.num_parameters / arena.num_host, self.flops)

    @property
    def look(self) -> float:
        """Of a forward with it that takes what the host has kept, over that without it."""
        return self.flops + self.arena.above[self.candidate.site] / self.arena.flops

    def step(self, batch: Batch, prefix: Prefix, left: float = 1.0) -> None:
        """One optimizer step on the loss that the seed will face, at ``left`` of its rates."""
        outputs = self.arena.outputs(batch, prefix, self.candidate.site, self.seed, self.buffers)
        self.optimizer.zero_grad()
        self.terms.loss(outputs, batch[1]).backward()  # type: ignore[no-untyped-call]
        with slowed(self.optimizer, left):
            self.optimizer.step()
        self.steps += 1

    def losses(self, batch: Batch, prefix: Prefix) -> Tensor:
        """Of each sample. Shape: (N,), float64."""
        with torch.no_grad():
            site, buffers = self.candidate.site, self.buffers
            outputs = self.arena.outputs(batch, prefix, site, self.seed, buffers)
            return self.terms.losses(outputs, batch[1])

    def weights(self) -> dict[str, Tensor]:
        """The seed's own, to be loaded into the newborn."""
        return {name: t.detach().clone() for name, t in self.seed.state_dict().items()}
