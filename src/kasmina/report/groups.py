"""Runs that differ only in their seed, taken together as one configuration."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kasmina.report.records import Run

_NOT_A_CHOICE = ("seed", "name", "resume", "hydra", "paths", "logger", "data_root", "run_id")
_FEW = 6  # choices that still make a label
BASE = "base configuration"
"""The label of the configuration that chooses nothing beside what all runs chose."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of ``n`` values; nan where there are too few."""

    mean: float
    deviation: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Over the values that are finite."""
        finite = [value for value in values if math.isfinite(value)]
        mean = statistics.fmean(finite) if finite else math.nan
        deviation = statistics.stdev(finite) if len(finite) > 1 else math.nan
        return cls(mean, deviation, len(finite))


@dataclass(frozen=True)
class Configuration:
    """Runs of one configuration: the finished ones count, the others are only listed."""

    label: str
    runs: tuple[Run, ...]
    others: tuple[Run, ...]

    def spread(self, value: Callable[[Run], float]) -> Spread:
        """Mean and deviation of a value over the finished runs."""
        return Spread.of(value(run) for run in self.runs)


def group(runs: Sequence[Run]) -> list[Configuration]:
    """Group by overrides without the seed; by difference of config where those do not tell."""
    choices = [_overrides(run) for run in runs]
    if not _tell(runs, choices):
        choices = _config_choices(runs)
    if len(set(choices)) == 1 and len(choices[0]) <= _FEW:
        return [_configuration(", ".join(choices[0]) or BASE, runs)]
    common = set.intersection(*map(set, choices)) if choices else set()
    groups: dict[str, list[Run]] = {}
    for run, chosen in zip(runs, choices, strict=True):
        rest = ", ".join(choice for choice in chosen if choice not in common)
        groups.setdefault(rest or BASE, []).append(run)
    return [_configuration(label, members) for label, members in groups.items()]


def _configuration(label: str, runs: Sequence[Run]) -> Configuration:
    counted = tuple(run for run in runs if run.status == "finished")
    return Configuration(label, counted, tuple(run for run in runs if run.status != "finished"))


def _is_choice(key: str) -> bool:
    """Whether a config key tells configurations apart; seeds, names and places do not."""
    parts = key.lstrip("+~").split(".")
    return parts[0] not in _NOT_A_CHOICE and not parts[-1].endswith("seed")


def _overrides(run: Run) -> tuple[str, ...]:
    given: Sequence[Any] = run.environment.get("overrides") or ()
    texts = (str(override) for override in given)
    return tuple(text for text in texts if _is_choice(text.partition("=")[0]))


def _tell(runs: Sequence[Run], choices: Sequence[tuple[str, ...]]) -> bool:
    """Overrides tell runs apart unless a run has none, or two runs share them and the seed."""
    if not all(run.environment.get("overrides") for run in runs):
        return False
    seeded = [(run.summary.labels.seed, *chosen) for run, chosen in zip(runs, choices, strict=True)]
    return len(set(seeded)) == len(seeded)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _config_choices(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The values of each run's config, as overrides would write them."""
    flat = [_flat(run.config) for run in runs]
    return [tuple(f"{k}={v}" for k, v in one.items() if _is_choice(k)) for one in flat]
