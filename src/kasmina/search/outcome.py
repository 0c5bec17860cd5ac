"""How trials have ended, and which is the best: ``optimization_results.yaml``."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from kasmina import jobs
from kasmina.atomic import write_text
from kasmina.search.space import Space, Values

RESULTS = "optimization_results.yaml"


@dataclass(frozen=True)
class Ended:
    """A trial that has ended: its job, a state of ``kasmina.jobs``, its values.

    Attributes:
        value: of the metric; nan where there is none that may be compared.
    """

    job: int
    state: str
    value: float
    values: Values


def best_of(ended: Sequence[Ended], mode: str) -> Ended | None:
    """The first of those with the best value."""
    sign = 1 if mode == "max" else -1
    comparable = [each for each in ended if not math.isnan(each.value)]
    return max(comparable, key=lambda each: sign * each.value, default=None)


def line(ended: Sequence[Ended], best: Ended | None, space: Space, metric: str) -> str:
    """The search in a line."""
    count = Counter(each.state for each in ended)
    many = f"{len(ended)} trials ({count[jobs.PRUNED]} pruned, {count[jobs.FAILED]} failed)"
    if best is None:
        return f"none of {many} has a value"
    words = " ".join(space.chosen(best.values))
    return f"best of {many}: job {best.job}, {metric} {best.value:.6g}: {words}"


def write(folder: Path, best: Ended | None, space: Space) -> None:
    """Into the multirun's folder, with the keys that Hydra's own sweepers write."""
    said = {
        "name": "search",
        "best_job": None if best is None else best.job,
        "best_params": {} if best is None else dict(space.plain(best.values)),
        "best_value": None if best is None else best.value,
    }
    write_text(folder / RESULTS, yaml.safe_dump(said, sort_keys=False))
