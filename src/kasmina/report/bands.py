"""Mean curves of configurations, each in the band of its 95 % interval."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kasmina.report import frame, stats, units
from kasmina.report.clock import Clock
from kasmina.report.compared import Compared
from kasmina.report.curves import panels, values_of
from kasmina.report.groups import Configuration
from kasmina.report.palette import series, stroke
from kasmina.report.records import Run
from kasmina.report.stats import Points
from kasmina.report.versus import legend_of

_GRID = 200  # points of a mean curve
_FEW = 6  # configurations; the bands of more are fainter, since they lie on each other


def comparison(found: Compared, *, width: float = frame.WIDE) -> Figure:
    """Metric and loss against epochs (first column) and training FLOPs (second)."""
    groups = found.drawn
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
    frame.head(figure, "Learning curves", "mean and its 95 % interval over seeds")
    frame.legend(figure, legend_of(groups, width, marked=False))
    return figure


def band(
    runs: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> tuple[Points, Points, Points, Points]:
    """Mean of curves and its bootstrap interval, where all of them have points.

    Args:
        runs: (x, y) of each curve, x rising; nan in y is passed over.

    Returns:
        x, mean, and the ends of the interval, (G,) each; the mean thrice of one curve.
    """
    curves = []
    for x, y in runs:
        kept = np.isfinite(y)
        if kept.any():
            curves.append((np.asarray(x)[kept], np.asarray(y)[kept]))
    if not curves:
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0)
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.linspace(start, end, _GRID) if end > start else np.array([end])
    values = np.array([np.interp(grid, x, y) for x, y in curves])
    return grid, values.mean(axis=0), *stats.band(values)


def _bands(
    axes: Axes,
    groups: Sequence[Configuration],
    name: str,
    positions: Callable[[Run], Sequence[float]],
) -> None:
    reached: list[float] = []
    faint, line = (0.18, 1.7) if len(groups) <= _FEW else (0.08, 1.2)
    for at, group in enumerate(groups):
        colour, marker = series(at)
        x, mean, low, high = band([(positions(r), values_of(r.metrics, name)) for r in group.runs])
        axes.fill_between(x, low, high, color=colour, alpha=faint, linewidth=0)
        point = marker if len(x) == 1 else ""
        axes.plot(x, mean, color=colour, linewidth=line, linestyle=stroke(at), marker=point)
        reached += [value for value in mean if math.isfinite(value)]
    frame.metric_axis(axes, name, reached)
