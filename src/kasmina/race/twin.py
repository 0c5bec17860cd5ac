"""A network that goes on training, with seeds or without: what a race holds against each other."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from kasmina.graft import Grafted, call
from kasmina.race.arena import own_copy
from kasmina.race.contender import Contender
from kasmina.race.slowed import slowed
from kasmina.race.terms import Batch, Terms


class Twin:
    """A copy of the network that goes on training, optimizer and all.

    Args:
        model: the network in training.
        terms: of the race.
        contenders: whose seeds are blended in fully, with their optimizers.
    """

    def __init__(self, model: Grafted, terms: Terms, contenders: Sequence[Contender] = ()) -> None:
        self.terms = terms
        self.alphas = {each.candidate.site: 1.0 for each in contenders}
        self.model = own_copy(model)
        self.optimizers = [terms.continued(self.model)]
        for each in contenders:
            seed, optimizer = copy.deepcopy((each.seed, each.optimizer))
            self.model.slot(each.candidate.site).seed = seed
            self.optimizers.append(optimizer)

    def step(self, batch: Batch, left: float = 1.0) -> None:
        """One optimizer step of the whole network, at ``left`` of its learning rates."""
        self.model.train()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.terms.loss(self._outputs(batch), batch[1]).backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            with slowed(optimizer, left):
                optimizer.step()

    def losses(self, batch: Batch) -> Tensor:
        """Of each sample. Shape: (N,), float64."""
        self.model.eval()
        with torch.no_grad():
            return self.terms.losses(self._outputs(batch), batch[1])

    def _outputs(self, batch: Batch) -> object:
        with self.terms.context():
            return call(self.model, batch[0], alphas=self.alphas)
