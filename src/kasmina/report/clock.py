"""Where a moment lies on the axes of a run: epochs trained, and training FLOPs spent."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kasmina.report.records import Metrics, Moment


def epochs_trained(metrics: Sequence[Metrics]) -> list[float]:
    """Epochs done at each row: the end of epoch 0 is 1; ticks within an epoch divide it evenly."""
    rows = Counter(row.when.epoch for row in metrics)
    most = max(rows.values(), default=1)
    last = metrics[-1].when.epoch if metrics else 0
    seen: Counter[int] = Counter()
    done = []
    for row in metrics:
        epoch = row.when.epoch
        seen[epoch] += 1
        # The last epoch may have been cut short: count it by the ticks that a full one has.
        parts = most if epoch == last else rows[epoch]
        done.append(epoch + seen[epoch] / parts)
    return done


class Clock:
    """Turns moments into positions by their optimizer step, also between and before validations."""

    def __init__(self, metrics: Sequence[Metrics]) -> None:
        self._steps = np.array([0.0, *(row.when.step for row in metrics)])
        self._epochs = np.array([0.0, *epochs_trained(metrics)])
        self._flops = np.array([0.0, *(row.flops for row in metrics)])

    @property
    def end(self) -> float:
        """Epochs trained at the last validation."""
        return float(self._epochs[-1])

    def epochs(self, moment: Moment) -> float:
        """Epochs trained at a moment."""
        return float(np.interp(moment.step, self._steps, self._epochs))

    def flops(self, moment: Moment) -> float:
        """Training FLOPs spent until a moment."""
        return float(np.interp(moment.step, self._steps, self._flops))

    def all_epochs(self) -> list[float]:
        """Epochs trained at every validation."""
        return [float(value) for value in self._epochs[1:]]

    def all_flops(self) -> list[float]:
        """Training FLOPs spent until every validation."""
        return [float(value) for value in self._flops[1:]]
