"""The order of an epoch's batches: a pure function of (seed, epoch), the same on every rank."""

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

from kasmina.rng import derive


class EpochBatches(Sampler[Tensor]):
    """Yields whole batches of indices into a dataset, this rank's share of each.

    All ranks know the order of the epoch. It is cut into rounds of ``batch_size * world_size``
    indices, and the ranks take turns within a round, so that every rank gets the same number of
    batches, of at most ``batch_size`` indices each. No index repeats, save where the last round
    has fewer indices than there are ranks: then the epoch's first ones fill it up.

    Args:
        size: number of samples in the dataset.
        batch_size: samples of one batch on one rank.
        seed: of the order.
        shuffle: a new permutation each epoch, else 0, 1, 2, ...
        drop_last: leave out the round that is not full.
        draws: an epoch is this many batches of indices drawn at random with replacement,
            instead of each index once; leaves ``shuffle`` and ``drop_last`` without a meaning.
        rank: this process; from torch.distributed if None.
        world_size: number of processes; from torch.distributed if None.

    Attributes:
        round: indices of one batch over all ranks.
        start: batches that the next iteration leaves out, once: an interrupted epoch has had them.

    Raises:
        ValueError: nothing to yield.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        draws: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.size, self.seed, self.shuffle, self.draws = size, seed, shuffle, draws
        self.rank = rank if rank is not None else dist.get_rank() if together else 0
        self.world_size = world_size or (dist.get_world_size() if together else 1)
        self.epoch = 0
        self.start = 0
        self.round = batch_size * self.world_size
        self._total = self._count(drop_last) if min(size, batch_size) > 0 else 0
        if self._total < 1:
            raise ValueError(
                f"{size} samples make no batch of {batch_size} on each of {self.world_size} ranks"
                + (" with drop_last" if drop_last else "")
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order ``__iter__`` yields; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self._total // self.round)

    def __iter__(self) -> Iterator[Tensor]:
        start, self.start = self.start, 0
        for indices in torch.split(self.order(), self.round)[start:]:
            yield indices[self.rank :: self.world_size]

    def weight(self, batch: int) -> float:
        """This rank's indices of a batch over those of the mean rank; 1 but for a last batch.

        The mean over ranks of losses that are weighted so is the mean over all samples.
        """
        size = min(self.round, self._total - batch * self.round)
        return -(-(size - self.rank) // self.world_size) * self.world_size / size

    def places(self, batch: int) -> range:
        """Where in the epoch this rank's indices of a batch stand, without those that fill up."""
        begin = batch * self.round
        return range(begin + self.rank, min(begin + self.round, self.size), self.world_size)

    def order(self) -> Tensor:
        """The epoch's indices for all ranks together, int64."""
        generator = torch.Generator().manual_seed(derive("order", self.seed, self.epoch))
        if self.draws is not None:
            return torch.randint(self.size, (self._total,), generator=generator)
        if self.shuffle:
            once = torch.randperm(self.size, generator=generator)
        else:
            once = torch.arange(self.size)
        again = -(-self._total // self.size)
        return once.repeat(again)[: self._total]

    def _count(self, drop_last: bool) -> int:
        """Indices of an epoch, over all ranks."""
        if self.draws is not None:
            return self.draws * self.round
        rest = self.size % self.round
        if drop_last:
            return self.size - rest
        return self.size + (self.world_size - rest if 0 < rest < self.world_size else 0)
