"""Means with their intervals, each below its words: differences, and effects of axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kasmina.report import frame, units
from kasmina.report.compared import MOST_DRAWN, Compared
from kasmina.report.effects import Effect, Level
from kasmina.report.palette import INK, MUTED, PAPER, RULE, VALIDATION
from kasmina.report.stats import Interval

_ROW = 0.42  # inches
_MOST_LEVELS = 24  # of an axis; more would make a picture of yards, and configurations.csv has all
_CHARACTER = 0.072  # inches of a word above a dot
_PATCH: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}  # hides the grid


@dataclass(frozen=True)
class Dot:
    """A mean with its interval; a hollow one is no proof."""

    words: str
    mean: float
    interval: Interval
    solid: bool = True


def versus_baseline(found: Compared, *, width: float = frame.WIDE) -> Figure:
    """The paired difference of each configuration from the baseline; the best first."""
    name, better = found.score.metric, -1 if found.goal.mode == "min" else 1
    known = [it for it in found.differences if it.pairs]
    chosen = sorted(known, key=lambda it: -better * it.mean)[:MOST_DRAWN]
    dots = [
        Dot(f"{it.label}: {units.signed(name, it.mean)}", it.mean, it.interval, it.shown)
        for it in chosen
    ]
    figure = frame.new_figure(width, 1.1 + _ROW * len(dots))
    axes = figure.subplots()
    axes.axvline(0, color=MUTED, linewidth=1)
    _draw(axes, dots, room=width - 0.4)
    frame.lying_axis(axes, name, signed=True)
    unit = " (points)" if units.is_share(name) else ""
    way = "left is better" if better < 0 else "right is better"
    frame.tidy(axes, x=f"difference of {found.score.label}{unit}; {way}", grid=False)
    frame.head(figure, "Paired with the baseline", found.baseline.label)
    frame.legend(figure, _legend(dots))
    return figure


def axis_effects(found: Compared, *, width: float = frame.WIDE) -> Figure:
    """A panel an axis, a row a level; all panels share one scale."""
    across = min(frame.columns(width), len(found.effects))
    rows = [found.effects[at : at + across] for at in range(0, len(found.effects), across)]
    most = [max(len(_told(it)) for it in row) for row in rows]
    heights = [0.75 + _ROW * number for number in most]
    figure = frame.new_figure(width, 0.5 + sum(heights))
    grid = figure.subplots(len(rows), across, squeeze=False, sharex=True, height_ratios=heights)
    for panels, row, number in zip(grid, rows, most, strict=True):
        for axes in panels[len(row) :]:
            axes.set_visible(False)
        for axes, effect in zip(panels, row, strict=False):
            _effect(axes, effect, found, rows=number, room=width / across - 0.4)
    alone = len(found.effects) == 1
    frame.head(figure, "What each axis does", "" if alone else "the others averaged out")
    return figure


def _told(effect: Effect) -> list[Level]:
    """Its levels; of very many, so many evenly from the first to the last."""
    number = len(effect.levels)
    kept = np.linspace(0, number - 1, min(number, _MOST_LEVELS)).round().astype(int)
    return [effect.levels[at] for at in kept]


def _effect(axes: Axes, effect: Effect, found: Compared, *, rows: int, room: float) -> None:
    name = found.score.metric
    dots = [
        Dot(f"{it.name}: {units.metric(name, it.mean)}", it.mean, it.interval)
        for it in _told(effect)
    ]
    _draw(axes, dots, room=room, rows=rows)
    frame.lying_axis(axes, name)
    frame.tidy(axes, x=found.score.label, grid=False)
    axes.tick_params(labelbottom=True)
    left = f" ({len(dots)} of {len(effect.levels)} levels)" * (len(dots) < len(effect.levels))
    title = units.shorten(effect.axis, int(room / _CHARACTER) - len(left)) + left
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK)


def _draw(axes: Axes, dots: Sequence[Dot], *, room: float, rows: int = 0) -> None:
    """From the top down; ``room`` inches are there for the words."""
    limit = int(room / _CHARACTER)
    for row, dot in enumerate(dots):
        fill = VALIDATION if dot.solid else PAPER
        if dot.interval:
            axes.hlines(row, dot.interval.low, dot.interval.high, VALIDATION, linewidth=1.6)
        if math.isfinite(dot.mean):
            look: dict[str, Any] = {"color": VALIDATION, "markerfacecolor": fill, "linestyle": ""}
            axes.plot([dot.mean], [row], marker="o", markersize=6.5, **look)
        words, across = units.shorten(dot.words, limit), axes.get_yaxis_transform()
        style: dict[str, Any] = {"fontsize": 8.5, "color": INK, "va": "bottom", "bbox": _PATCH}
        axes.text(0, row - 0.24, words, transform=across, **style)
    axes.set(ylim=(max(rows, len(dots)) - 0.6, -0.9), yticks=[])
    axes.margins(x=0.08)
    axes.grid(axis="x", color=RULE, linewidth=0.6)


def _legend(dots: Sequence[Dot]) -> list[Line2D]:
    words = {True: "shown after Holm's correction", False: "not shown, or not tested"}
    look: dict[str, Any] = {"color": VALIDATION, "marker": "o", "linestyle": "", "markersize": 6.5}
    return [
        Line2D([], [], label=words[solid], markerfacecolor=VALIDATION if solid else PAPER, **look)
        for solid in (True, False)
        if any(dot.solid is solid for dot in dots)
    ]
