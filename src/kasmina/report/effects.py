"""What each axis of a comparison does to the score, the other axes averaged out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kasmina.report.groups import Configuration
from kasmina.report.paired import by_seed
from kasmina.report.records import Run
from kasmina.report.stats import NONE, Interval, interval

Levels = dict[str, list[Configuration]]


@dataclass(frozen=True)
class Level:
    """The score at one level of an axis.

    Args:
        cells: configurations that are averaged.
        seeds: that every one of them has a score for.
        interval: of the mean over those seeds.
    """

    name: str
    cells: int
    seeds: int
    mean: float
    interval: Interval


@dataclass(frozen=True)
class Effect:
    """The levels of one axis, numbers in their order."""

    axis: str
    levels: tuple[Level, ...]


def effects(
    groups: Sequence[Configuration],
    score: Callable[[Run], float],
    axes: Mapping[str, Sequence[str]] | None = None,
) -> list[Effect]:
    """The effect of every axis that was crossed with the others.

    Levels are compared over the same combinations of the other axes: where some of these were not
    run at every level, they are left out. An axis that changes only together with an earlier one
    is not told apart from it. A single axis of two levels has nothing to add to the table.

    Args:
        groups: comparable configurations.
        axes: levels of each axis in their order; by default as they come.
    """
    known = [it for it in groups if it.levels]
    found = [_effect(axis, known, score, (axes or {}).get(axis, ())) for axis in _axes(known)]
    kept = [it for it in found if len(it.levels) > 1]
    return kept if len(kept) > 1 or any(len(it.levels) > 2 for it in kept) else []


def _axes(groups: Sequence[Configuration]) -> list[str]:
    """Those that vary; of several that vary together, the first."""
    partitions: dict[tuple[int, ...], str] = {}
    for axis in dict.fromkeys(axis for it in groups for axis in it.levels):
        names = [it.levels.get(axis, "") for it in groups]
        numbered = {name: at for at, name in enumerate(dict.fromkeys(names))}
        if len(numbered) > 1:
            partitions.setdefault(tuple(numbered[name] for name in names), axis)
    return list(partitions.values())


def _effect(
    axis: str, groups: Sequence[Configuration], score: Callable[[Run], float], order: Sequence[str]
) -> Effect:
    others = [other for other in _axes(groups) if other != axis]
    levels: dict[str, dict[tuple[str, ...], Configuration]] = {}
    for it in groups:
        cell = tuple(it.levels.get(other, "") for other in others)
        levels.setdefault(it.levels.get(axis, ""), {})[cell] = it
    shared = set.intersection(*(set(cells) for cells in levels.values()))
    names = _sorted(list(levels), order) if shared else []
    crossed = {name: [it for cell, it in levels[name].items() if cell in shared] for name in names}
    return Effect(axis, tuple(_level(name, cells, score) for name, cells in crossed.items()))


def _level(name: str, cells: Sequence[Configuration], score: Callable[[Run], float]) -> Level:
    """Over the seeds that all cells have; over the means of the cells where there is none."""
    by_cell = [by_seed(cell, score) for cell in cells]
    seeds = set.intersection(*map(set, by_cell))
    if not seeds:
        means = [fmean(cell.values()) for cell in by_cell if cell]
        complete = len(means) == len(cells)
        return Level(name, len(cells), 0, fmean(means) if complete else math.nan, NONE)
    each = [fmean(cell[seed] for cell in by_cell) for seed in sorted(seeds)]
    return Level(name, len(cells), len(seeds), fmean(each), interval(each))


def _sorted(names: Sequence[str], order: Sequence[str]) -> list[str]:
    """Numbers by size, else as planned, else as they came."""
    try:
        return sorted(names, key=float)
    except ValueError:
        places = {name: at for at, name in enumerate(order)}
        return sorted(names, key=lambda name: places.get(name, len(places)))
