"""What growth promises against training on: numbers only."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """What a timing wants to know before it says whether growth is due.

    Args:
        batches: of training data; one half chooses a step, the other judges it.
        ratio: of promises from which growth is due.
        least: that the seed promises where growth is due, in nats.
    """

    batches: int
    ratio: float
    least: float


@dataclass(frozen=True)
class Promised:
    """The best candidate and the network's own parameters, at a tick.

    A promise is what one step along the optimizer's direction, of the best size, takes off the mean
    loss of training samples that did not choose it, in nats; errors are standard errors.

    Args:
        site, blueprint: the candidate.
        ask: what growth is due from.
    """

    tick: int
    site: str
    blueprint: str
    seed: float
    seed_error: float
    own: float
    own_error: float
    ask: Ask

    @property
    def lower(self) -> float:
        """What the seed surely promises; 0 where that is nothing."""
        lower = self.seed - self.seed_error
        return lower if lower > 0 else 0.0  # nor is nan

    @property
    def ratio(self) -> float:
        """What the seed surely promises over the most that the network promises by itself."""
        upper = max(self.own, 0.0) + self.own_error
        if not self.lower or math.isnan(upper):
            return 0.0
        return self.lower / upper if upper > 0 else math.inf

    @property
    def enough(self) -> bool:
        """Whether growth is due."""
        return self.ratio >= self.ask.ratio and self.lower >= self.ask.least

    def numbers(self) -> dict[str, float]:
        """What a decision rests on."""
        names = ("lower", "ratio", "seed", "seed_error", "own", "own_error")
        own = {name: float(getattr(self, name)) for name in names}
        return {**own, "wanted_ratio": self.ask.ratio, "wanted_lower": self.ask.least}

    def __str__(self) -> str:
        asked = f"{self.ask.least:g} nats and {self.ask.ratio:g} times are asked for"
        verdict = "" if self.enough else "only "
        return (
            f"{self.blueprint} at {self.site} promises {verdict}{self.lower:.3g} nats a step, "
            f"{self.ratio:.3g} times what the network's own parameters do; {asked}"
        )
