"""A loader that an interrupted epoch can go on with."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from kasmina.data.order import EpochBatches
from kasmina.data.samples import Batch


class ResumableLoader(DataLoader[Batch]):
    """Knows how many batches of this epoch it has given out, and begins after them when it is told.

    Lightning keeps the state of every loader that has ``state_dict`` and ``load_state_dict`` in
    its checkpoints, and gives it back before the first batch of a resumed run is fetched.
    """

    _given = 0
    _start = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """A generator: where it begins is looked up when the first batch is asked for."""
        start, self._start = self._start, 0
        self._given, skipped = start, start
        if isinstance(self.sampler, EpochBatches):
            self.sampler.start, skipped = start, 0
        for batch in islice(super().__iter__(), skipped, None):
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Batches given out in this epoch, and how many samples all ranks have in one."""
        order = self.sampler if isinstance(self.sampler, EpochBatches) else None
        return {"batches": self._given, "round": order and order.round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Leave those batches out of the next epoch that is asked for, and only of that one."""
        self._start = state_dict["batches"]
