"""When a network grows."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kasmina.control.observation import Observation


@dataclass(frozen=True)
class Due:
    """It is time to grow: why, and how many parameters are wanted where that is known."""

    reason: str
    size: int | None = None


class Timing(Protocol):
    """Says whether a seed is due at this tick."""

    def due(self, seen: Observation) -> Due | None:
        """None to wait."""
        ...


class Periodic:
    """A seed every ``every`` ticks from tick ``start`` on, none after tick ``stop``."""

    def __init__(self, *, every: int = 10, start: int = 2, stop: int | None = None) -> None:
        if every < 1:
            raise ValueError(f"a period is at least 1 tick, not {every}")
        self.every, self.start, self.stop = every, start, stop

    def due(self, seen: Observation) -> Due | None:
        """At start, start + every, start + 2 every, ..."""
        late = self.stop is not None and seen.tick > self.stop
        if late or seen.tick < self.start or (seen.tick - self.start) % self.every:
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
        self.sizes = {e["tick"]: e["parameters"] for e in events if e["event"] == "germinate"}

    def due(self, seen: Observation) -> Due | None:
        """At each of that run's germinations."""
        if seen.tick not in self.sizes:
            return None
        return Due("the replayed run germinated at this tick", self.sizes[seen.tick])
