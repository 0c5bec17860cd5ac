"""Whether to grow: the network with the best seed and its twin without one train side by side.

A seed behind a still host gets the credit for what the host would have learned by itself, and for
batch statistics that follow the weights; against a twin it does not.
"""

import copy

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
        contender: whose seed is blended in fully, with its optimizer; None for no seed.
    """

    def __init__(self, model: Grafted, terms: Terms, contender: Contender | None) -> None:
        self.terms = terms
        self.alphas: dict[str, float] = {}
        self.model = own_copy(model)
        self.optimizers = [terms.continued(self.model)]
        if contender is not None:
            site = contender.candidate.site
            self.alphas = {site: 1.0}
            seed, optimizer = copy.deepcopy((contender.seed, contender.optimizer))
            self.model.slot(site).seed = seed
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
