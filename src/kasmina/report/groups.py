"""Runs that differ only in their seed, taken together as one configuration."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kasmina.report.plan import Arm
from kasmina.report.records import Run
from kasmina.report.stats import Interval, interval

_NOT_A_CHOICE = ("seed", "name", "resume", "hydra", "paths", "logger", "data_root", "run_id")
_FEW = 6  # choices that still make a label
BASE = "base configuration"
"""The label of the configuration that chooses nothing beside what all runs chose."""

DEFAULT = "default"
"""The level, on an axis that others chose on, of a configuration that did not choose."""


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
    """Runs of one configuration: the finished ones count, the others are only listed.

    Args:
        levels: what it chose, by axis; empty where that is not known.
    """

    label: str
    runs: tuple[Run, ...]
    others: tuple[Run, ...]
    levels: Mapping[str, str] = field(default_factory=dict)

    def spread(self, value: Callable[[Run], float]) -> Spread:
        """Mean and deviation of a value over the finished runs."""
        return Spread.of(value(run) for run in self.runs)

    def interval(self, value: Callable[[Run], float]) -> Interval:
        """Bootstrap interval of the mean of a value over the finished runs."""
        return interval(value(run) for run in self.runs)


def group(runs: Sequence[Run], arms: Mapping[Path, Arm] | None = None) -> list[Configuration]:
    """Group by the arm of the ablation; runs of none, by what they chose.

    Args:
        runs: finished or not.
        arms: by run folder, as an ablation planned them.
    """
    arms = arms or {}
    planned: dict[str, list[Run]] = {}
    for run in runs:
        if run.folder in arms:
            planned.setdefault(arms[run.folder].label, []).append(run)
    levels = {arm.label: arm.levels for arm in arms.values()}
    found = [_configuration(label, its, levels[label]) for label, its in planned.items()]
    return [*found, *_guessed([run for run in runs if run.folder not in arms])]


def _guessed(runs: Sequence[Run]) -> list[Configuration]:
    """Group by overrides without the seed; by difference of config where those do not tell."""
    choices = [_overrides(run) for run in runs]
    if not _tell(runs, choices):
        choices = _config_choices(runs)
    if len(set(choices)) == 1 and len(choices[0]) <= _FEW:
        return [_configuration(", ".join(choices[0]) or BASE, runs, {})]
    common = set.intersection(*map(set, choices)) if choices else set()
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run, chosen in zip(runs, choices, strict=True):
        rest = tuple(choice for choice in chosen if choice not in common)
        groups.setdefault(rest, []).append(run)
    axes = dict.fromkeys(_key(choice) for rest in groups for choice in rest)
    return [
        _configuration(", ".join(rest) or BASE, members, _levels(rest, axes))
        for rest, members in groups.items()
    ]


def _key(choice: str) -> str:
    return choice.partition("=")[0]


def _levels(choices: Sequence[str], axes: Iterable[str]) -> dict[str, str]:
    chosen = {_key(choice): choice.partition("=")[2] for choice in choices}
    return {axis: chosen.get(axis, DEFAULT) for axis in axes}


def _configuration(label: str, runs: Sequence[Run], levels: Mapping[str, str]) -> Configuration:
    counted = tuple(run for run in runs if run.status == "finished")
    others = tuple(run for run in runs if run.status != "finished")
    return Configuration(label, counted, others, levels)


def is_choice(key: str) -> bool:
    """Whether a config key tells configurations apart; seeds, names and places do not."""
    parts = key.lstrip("+~").split(".")
    return parts[0] not in _NOT_A_CHOICE and not parts[-1].endswith("seed")


def _overrides(run: Run) -> tuple[str, ...]:
    given: Sequence[Any] = run.environment.get("overrides") or ()
    texts = (str(override) for override in given)
    return tuple(text for text in texts if is_choice(text.partition("=")[0]))


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
    return [tuple(f"{k}={v}" for k, v in one.items() if is_choice(k)) for one in flat]
