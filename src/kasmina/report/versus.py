"""Several runs: the metric against what it cost, and mean curves with their spread."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from kasmina.report import frame, scores, units
from kasmina.report.clock import Clock
from kasmina.report.curves import panels, values_of
from kasmina.report.groups import Configuration
from kasmina.report.palette import series
from kasmina.report.records import Run

Points = NDArray[np.float64]
_DECADES = 20.0  # from this ratio on, costs stand on a logarithmic axis
_GRID = 200  # points of a mean curve


def tradeoff(groups: Sequence[Configuration], *, width: float = frame.WIDE) -> Figure:
    """Metric against training FLOPs and against parameters: runs faint, means with spread."""
    runs = [run for group in groups for run in group.runs]
    score = scores.score_for(runs)
    across = frame.columns(width)
    figure = frame.new_figure(width, 0.8 + 2.9 * (2 // across))
    by_flops, by_size = figure.subplots(2 // across, across, squeeze=False).ravel()
    _scatter(by_flops, groups, scores.flops, score)
    label = _flop_axis(by_flops, [scores.flops(run) for run in runs])
    frame.tidy(by_flops, x=label, y=score.label)
    _scatter(by_size, groups, scores.parameters, score)
    _count_axis(by_size, [scores.parameters(run) for run in runs])
    frame.tidy(by_size, x="parameters at the best validation", y=score.label)
    frame.head(figure, "What the cost bought")
    frame.legend(figure, _handles(groups, width, marked=True))
    return figure


def comparison(groups: Sequence[Configuration], *, width: float = frame.WIDE) -> Figure:
    """Mean curves of every configuration, with a band of one standard deviation."""
    first = groups[0].runs[0]
    names = panels(first.goal.monitor, list(first.metrics[0].values))
    across = frame.columns(width)
    down = len(names) * 2 // across
    figure = frame.new_figure(width, 0.7 + 2.4 * down)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    clocks = {run.folder: Clock(run.metrics) for group in groups for run in group.runs}
    for at, name in enumerate(names):
        by_epochs, by_flops = grid[2 * at : 2 * at + 2]
        _bands(by_epochs, groups, name, lambda run: clocks[run.folder].all_epochs())
        frame.tidy(by_epochs, x="epochs trained", y=units.label(name))
        frame.epoch_axis(by_epochs, max(clock.end for clock in clocks.values()))
        _bands(by_flops, groups, name, lambda run: clocks[run.folder].all_flops())
        spent = [clock.all_flops()[-1] for clock in clocks.values()]
        frame.tidy(by_flops, x=frame.flop_axis(by_flops, spent), y=units.label(name))
        by_flops.set_xlim(0, max(spent) * 1.02 or 1)
    frame.head(figure, "Learning curves", "mean and standard deviation over seeds")
    frame.legend(figure, _handles(groups, width, marked=False))
    return figure


def _scatter(
    axes: Axes,
    groups: Sequence[Configuration],
    cost: Callable[[Run], float],
    score: scores.Score,
) -> None:
    for at, group in enumerate(groups):
        colour, marker = series(at)
        x, y = group.spread(cost), group.spread(score.of)
        many = x.n > 1
        if many:
            each = [score.of(run) for run in group.runs]
            faint: dict[str, Any] = {"s": 16, "alpha": 0.4, "linewidths": 0}
            axes.scatter([cost(r) for r in group.runs], each, c=colour, marker=marker, **faint)
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=x.deviation if many else None,
            yerr=y.deviation if y.n > 1 else None,
            fmt=marker,
            color=colour,
            markersize=8,
            elinewidth=1.2,
            zorder=3,
        )
    values = [score.of(run) for group in groups for run in group.runs]
    frame.metric_axis(axes, score.metric, values)
    axes.margins(0.1)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _DECADES * min(values)


def _flop_axis(axes: Axes, values: Sequence[float]) -> str:
    if not _is_wide(values):
        return frame.flop_axis(axes, values)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: units.flops(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    return "training compute"


def _count_axis(axes: Axes, values: Sequence[float]) -> None:
    if _is_wide(values):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: units.count(x)))


def band(runs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[Points, Points, Points]:
    """Mean and sample standard deviation of curves, where all of them have points.

    Args:
        runs: (x, y) of each curve, x rising; nan in y is passed over.

    Returns:
        x, mean and deviation, (G,) each; the deviation of one curve is 0.
    """
    curves = []
    for x, y in runs:
        kept = np.isfinite(y)
        if kept.any():
            curves.append((np.asarray(x)[kept], np.asarray(y)[kept]))
    if not curves:
        return np.empty(0), np.empty(0), np.empty(0)
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.linspace(start, end, _GRID) if end > start else np.array([end])
    values = np.array([np.interp(grid, x, y) for x, y in curves])
    spread = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(grid))
    return grid, values.mean(axis=0), spread


def _bands(
    axes: Axes,
    groups: Sequence[Configuration],
    name: str,
    positions: Callable[[Run], Sequence[float]],
) -> None:
    reached: list[float] = []
    for at, group in enumerate(groups):
        colour, marker = series(at)
        x, mean, spread = band([(positions(r), values_of(r.metrics, name)) for r in group.runs])
        axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, mean, color=colour, linewidth=1.7, marker=marker if len(x) == 1 else "")
        reached += [value for value in mean if math.isfinite(value)]
    frame.metric_axis(axes, name, reached)


def _handles(groups: Sequence[Configuration], width: float, *, marked: bool) -> list[Line2D]:
    limit = int((width - 1) / 0.08)
    handles = []
    for at, group in enumerate(groups):
        colour, marker = series(at)
        text = f"{units.shorten(group.label, limit)} (n = {len(group.runs)})"
        look = {"marker": marker, "linestyle": ""} if marked else {"linewidth": 1.7}
        handles.append(Line2D([], [], color=colour, label=text, **look))
    return handles
