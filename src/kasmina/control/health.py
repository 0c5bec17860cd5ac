"""Is the training still sound? Tests of losses and metrics, as plain numbers.

Scale: median and median absolute deviation (times 1.4826: a standard deviation where the noise is
normal) of the last values that were no spikes. Neither moves for a few outliers.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NORMAL = 1.4826  # standard deviations in a median absolute deviation
_LEAST_SCALE = 0.1  # of the median: a loss that hardly moves has hardly any deviation
_LEARNED = 0.1  # of the first median: a loss below it has not gone wrong, however much it rose
_CHANCE = 0.05  # of the way from chance to the best value: what still counts as chance
_ABOVE_CHANCE = 0.5  # of chance's own size: how far above it a network has learned something


Fault = tuple[str, dict[str, float]]
"""What is wrong, and the numbers that say so."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and when it was not yet.

    Args:
        reason: a sentence.
        numbers: what it rests on.
        sound: the last optimizer step after which the network was seen to be sound; below 0 where
            it never was.
    """

    reason: str
    numbers: dict[str, float]
    sound: int


class Watch:
    """Looks for spikes that stay: values above median + ``spike`` deviations, one after another.

    Args:
        what: the name of the values.
        window: values that the scale is taken from.
        least: values without which there is no scale.
        spike: deviations above the median; a deviation is at least 0.1 of the median, and no spike
            is below a tenth of what the values began with: a network that has learned its samples
            by heart has a loss near 0, beside which any step is large.
        patience: spikes in a row that are trouble.
    """

    def __init__(self, what: str, *, window: int, least: int, spike: float, patience: int) -> None:
        self.what = what
        self.window = window
        self.least = min(least, window)
        self.spike = spike
        self.patience = patience
        self.values: list[float] = []
        self.spikes = 0
        self.first = 0.0
        """The median of the first values that had a scale."""

    def see(self, value: float) -> Fault | None:
        """One more finite value; the reason and its numbers when there have been enough spikes."""
        limit = self.limit()
        if value <= limit:
            self.spikes = 0
            self.values = [*self.values, value][-self.window :]
            if not self.first and len(self.values) == self.least:
                self.first = statistics.median(self.values)
            return None
        self.spikes += 1
        if self.spikes < self.patience:
            return None
        reason = f"{self.what} {value:.4g} is above {limit:.4g}, {self.spikes} in a row"
        numbers = {self.what: value, "limit": limit, "median": statistics.median(self.values)}
        return reason, numbers

    def limit(self) -> float:
        """Above this a value is a spike; inf until there are values enough."""
        if len(self.values) < self.least:
            return math.inf
        median = statistics.median(self.values)
        deviation = _NORMAL * statistics.median(abs(value - median) for value in self.values)
        usual = median + self.spike * max(deviation, _LEAST_SCALE * abs(median))
        return max(usual, _LEARNED * self.first)

    def state_dict(self) -> dict[str, Any]:
        """The values, the first median and the count of spikes."""
        return {"values": list(self.values), "first": self.first, "spikes": self.spikes}


class Health:
    """Everything that is watched over a run.

    Args:
        window: optimizer steps (and validations) that the scale of the loss is taken from.
        spike: deviations above the median from which a loss is a spike.
        patience: optimizer steps in a row above it that are trouble.
        validations: the same for validations, above it or at chance.
        max_loss: a validation loss above this is trouble at once; None: only a non-finite one.

    Raises:
        ValueError: a window of less than 2, or no patience at all.
    """

    def __init__(
        self,
        *,
        window: int = 100,
        spike: float = 10.0,
        patience: int = 10,
        validations: int = 3,
        max_loss: float | None = None,
    ) -> None:
        if window < 2 or spike <= 0 or min(patience, validations) < 1:
            raise ValueError(
                "window is at least 2 steps, spike is above 0, patience and validations are at "
                f"least 1; not {window}, {spike}, {patience}, {validations}"
            )
        self.max_loss = max_loss
        self.train = Watch("train/loss", window=window, least=20, spike=spike, patience=patience)
        self.val = Watch("val/loss", window=window, least=5, spike=spike, patience=validations)
        self.best = -math.inf
        self.at_chance = 0
        self.sound = -1

    def step(self, at: int, loss: float) -> Trouble | None:
        """The loss of optimizer step ``at``, the first one being 1.

        The network after step ``at - 1`` put it out, so that one is no longer known to be sound.
        """
        spikes = self.train.spikes
        found = _not_finite("train/loss", loss) or self.train.see(loss)
        return None if found is None else Trouble(*found, sound=at - spikes - 2)

    def validation(
        self, at: int, *, loss: float, score: float, chance: float | None
    ) -> Trouble | None:
        """What a validation after step ``at`` found.

        Args:
            score, chance: the monitored metric and its value for a network that knows nothing,
                their sign such that more is better; without ``chance`` it is not looked at.
        """
        tests: list[Callable[[], Fault | None]] = [
            lambda: _not_finite("val/loss", loss),
            lambda: self._too_high(loss),
            lambda: self.val.see(loss),
            lambda: self._chance(score, chance),
        ]
        found = next((fault for test in tests if (fault := test()) is not None), None)
        if found is not None:
            return Trouble(*found, sound=self.sound)
        if not self.suspicious:
            self.sound = at
        return None

    @property
    def suspicious(self) -> bool:
        """Something is not as it was, though not for long enough to be trouble."""
        return bool(self.train.spikes or self.val.spikes or self.at_chance)

    def calm(self) -> None:
        """The network was put back: what was counted is that of another one."""
        self.train.spikes = self.val.spikes = self.at_chance = 0

    def forget(self) -> None:
        """The network was changed such that its loss may have another scale."""
        self.calm()
        self.train.values, self.val.values = [], []

    def _too_high(self, loss: float) -> Fault | None:
        if self.max_loss is None or loss <= self.max_loss:
            return None
        numbers = {"val/loss": loss, "max_loss": self.max_loss}
        return f"val/loss {loss:.4g} is above {self.max_loss:.4g}", numbers

    def _chance(self, score: float, chance: float | None) -> Fault | None:
        if chance is None:
            return None
        self.best = max(self.best, score)  # nan never is
        learned = self.best - chance
        fallen = not score - chance > _CHANCE * learned
        if learned <= _ABOVE_CHANCE * abs(chance) or not fallen:
            self.at_chance = 0
            return None
        self.at_chance += 1
        if self.at_chance < self.val.patience:
            return None
        reason = f"the metric is at chance, {self.at_chance} validations in a row"
        return reason, {"metric": abs(score), "chance": abs(chance), "best": abs(self.best)}

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        own = {"best": self.best, "at_chance": self.at_chance, "sound": self.sound}
        return {**own, "train": self.train.state_dict(), "val": self.val.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with them."""
        for watch in ("train", "val"):
            vars(getattr(self, watch)).update(state[watch])
        vars(self).update({key: state[key] for key in ("best", "at_chance", "sound")})


def _not_finite(what: str, value: float) -> Fault | None:
    return None if math.isfinite(value) else (f"{what} is {value}", {what: value})
