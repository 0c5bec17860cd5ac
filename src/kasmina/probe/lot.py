"""Candidates by lot: what every other criterion has to beat."""

import torch
from torch import Tensor

from kasmina.probe.evidence import Evidence, Reads
from kasmina.rng import derive


class Random:
    """A number in [0, 1) that is a pure function of seed, slot, its births and the blueprint.

    Nothing is measured for it, and nothing is charged.

    Args:
        seed: of the lot.
    """

    reads: Reads = "nothing"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def score(self, seen: Evidence) -> Tensor:
        """The lot, the same for each estimate."""
        drawn = derive("probe", self.seed, seen.site, seen.births, seen.blueprint) / 2**63
        return torch.full((seen.estimates,), drawn, dtype=torch.float64)
