"""When a network grows."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from kasmina.control.observation import Observation
from kasmina.control.promise import Ask


@dataclass(frozen=True)
class Due:
    """It is time to grow.

    Args:
        reason: why.
        sizes: parameters of the seeds that are wanted, one each; empty where that is not known.
    """

    reason: str
    sizes: tuple[int, ...] = ()


class Timing(Protocol):
    """Says whether a seed is due at this tick."""

    def due(self, seen: Observation) -> Due | None:
        """None to wait."""
        ...


@runtime_checkable
class Probing(Timing, Protocol):
    """A timing that wants the network probed before it is asked."""

    def asks(self, seen: Observation) -> Ask | None:
        """None for no probe at this tick."""
        ...


class Periodic:
    """A seed every ``every`` ticks from tick ``start`` on, none after tick ``stop``."""

    def __init__(self, *, every: int = 10, start: int = 2, stop: int | None = None) -> None:
        if every < 1:
            raise ValueError(f"a period is at least 1 tick, not {every}")
        self.every, self.start, self.stop = every, start, stop

    def on(self, tick: int) -> bool:
        """At start, start + every, start + 2 every, ..."""
        late = self.stop is not None and tick > self.stop
        return not late and tick >= self.start and (tick - self.start) % self.every == 0

    def due(self, seen: Observation) -> Due | None:
        """At its ticks."""
        if not self.on(seen.tick):
            return None
        period = "every tick" if self.every == 1 else f"every {self.every} ticks"
        return Due(f"{period} from tick {self.start} on")


class Plateau:
    """A seed when the monitored metric has not risen by ``min_delta`` in ``patience`` ticks."""

    def __init__(self, *, patience: int = 5, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience is at least 1 tick, not {patience}")
        self.patience, self.min_delta = patience, min_delta

    def due(self, seen: Observation) -> Due | None:
        """When the best of the last ``patience`` ticks is no better than what came before."""
        if len(seen.history) <= self.patience:
            return None
        before, lately = seen.history[: -self.patience], seen.history[-self.patience :]
        if _best(lately) > _best(before) + self.min_delta:
            return None
        return Due(f"no gain above {self.min_delta:g} in {self.patience} ticks")


def _best(values: Sequence[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=-math.inf)


class Score:
    """A seed when the best candidate surely promises ``ratio`` times what the network does itself.

    A promise is what one step takes off the loss: of the candidate's output weights, against all
    that the network trains. After Mitchell et al. 2023, "Self-Expanding Neural Networks",
    https://arxiv.org/abs/2307.04526, which grows where the score of the grown network exceeds that
    of the present one by a factor, and by enough.

    Args:
        ratio: above 0; of the seed's promise minus its standard error, over the network's plus its
            own.
        least: that the seed surely promises, in nats.
        batches: of training data for each probe: one half chooses steps, the other judges them.
        every, start, stop: ticks at which the network is probed, as ``Periodic`` has them.

    Raises:
        ValueError: a number that makes no sense; names it.
    """

    def __init__(
        self,
        *,
        ratio: float = 3.0,
        least: float = 0.01,
        batches: int = 8,
        every: int = 5,
        start: int = 2,
        stop: int | None = None,
    ) -> None:
        if not ratio > 0:
            raise ValueError(f"a ratio of promises is above 0, not {ratio}")
        if not least >= 0:
            raise ValueError(f"the least promise is at least 0 nats, not {least}")
        if batches < 4:
            raise ValueError(f"a promise takes at least 4 batches, not {batches}")
        self.ask = Ask(batches, ratio, least)
        self.period = Periodic(every=every, start=start, stop=stop)

    def asks(self, seen: Observation) -> Ask | None:
        """At the ticks of the period."""
        return self.ask if self.period.on(seen.tick) else None

    def due(self, seen: Observation) -> Due | None:
        """Where this tick's probe has found enough."""
        found = seen.probed
        if found is None or found.tick != seen.tick or not found.enough:
            return None
        return Due(str(found))


class Replay:
    """At the ticks and with the sizes at which another run germinated.

    Args:
        run: that run's folder.

    Raises:
        ValueError: the folder has no record of events.
    """

    def __init__(self, *, run: str) -> None:
        path = Path(run) / "events.jsonl"
        if not path.is_file():
            raise ValueError(f"no events to replay: {path} does not exist")
        events = [json.loads(line) for line in path.read_text().splitlines()]
        self.sizes: dict[int, list[int]] = {}
        for event in events:
            if event["event"] == "germinate":
                self.sizes.setdefault(event["tick"], []).append(event["parameters"])

    def due(self, seen: Observation) -> Due | None:
        """At each of that run's germinations."""
        sizes = tuple(self.sizes.get(seen.tick, ()))
        return Due("the replayed run germinated at this tick", sizes) if sizes else None
