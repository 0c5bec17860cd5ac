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
        self.groups = [group for each in self.optimizers for group in each.param_groups]
        self.rates = [float(group["lr"]) for group in self.groups]

    def step(self, batch: Batch, left: float = 1.0) -> None:
        """One optimizer step of the whole network.

        Args:
            left: share of its learning rates at which the step is made. Rates that fall to 0 bring
                out what the networks can do: at full rate two of them differ by where the last
                steps threw them, which no number of samples averages out.
        """
        self.model.train()
        for group, rate in zip(self.groups, self.rates, strict=True):
            group["lr"] = left * rate
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.terms.loss(self._outputs(batch), batch[1]).backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()

    def losses(self, batch: Batch) -> Tensor:
        """Of each sample. Shape: (N,), float64."""
        self.model.eval()
        with torch.no_grad():
            return self.terms.losses(self._outputs(batch), batch[1])

    def _outputs(self, batch: Batch) -> object:
        with self.terms.context():
            return call(self.model, batch[0], alphas=self.alphas)
