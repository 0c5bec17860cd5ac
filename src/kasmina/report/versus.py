"""Several configurations: the metric against what it cost."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from kasmina.report import frame, scores, units
from kasmina.report.compared import Compared
from kasmina.report.groups import Configuration
from kasmina.report.palette import MUTED, series, stroke

_DECADES = 20.0  # from this ratio on, costs stand on a logarithmic axis
_EQUAL = 0.05  # costs that differ by less are one budget, and no axis makes them look apart
_OTHERS: dict[str, Any] = {"color": MUTED, "marker": ".", "markersize": 5, "linestyle": ""}
_FRONT: dict[str, Any] = {"color": MUTED, "linewidth": 1.3, "linestyle": (0, (5, 2))}


def tradeoff(found: Compared, *, width: float = frame.WIDE) -> Figure:
    """Score against training FLOPs and against parameters, each with its Pareto front."""
    across = frame.columns(width)
    figure = frame.new_figure(width, 0.8 + 2.9 * (2 // across))
    by_flops, by_size = figure.subplots(2 // across, across, squeeze=False).ravel()
    _scatter(by_flops, found, scores.flops, found.front_of_flops)
    label = flop_axis(by_flops, [scores.flops(run) for run in found.runs])
    frame.tidy(by_flops, x=label, y=found.score.label)
    _scatter(by_size, found, scores.parameters, found.front_of_parameters)
    _count_axis(by_size, [scores.parameters(run) for run in found.runs])
    frame.tidy(by_size, x="parameters at the best validation", y=found.score.label)
    frame.head(figure, "What the cost bought")
    frame.legend(figure, _handles(found, width))
    return figure


def legend_of(groups: Sequence[Configuration], width: float, *, marked: bool) -> list[Line2D]:
    """An entry a configuration, in its colour; by its marker or by its line."""
    limit = int((width - 1) / 0.08)
    handles = []
    for at, group in enumerate(groups):
        colour, marker = series(at)
        text = f"{units.shorten(group.label, limit)} (n = {len(group.runs)})"
        line: dict[str, Any] = {"linewidth": 1.7, "linestyle": stroke(at)}
        look: dict[str, Any] = {"marker": marker, "linestyle": ""} if marked else line
        handles.append(Line2D([], [], color=colour, label=text, **look))
    return handles


def _handles(found: Compared, width: float) -> list[Line2D]:
    entries = legend_of(found.drawn, width, marked=True)
    if more := len(found.groups) - len(found.drawn):
        entries.append(Line2D([], [], label=units.plural(more, "other"), **_OTHERS))
    return [*entries, Line2D([], [], label="Pareto front of the means", **_FRONT)]


def _scatter(axes: Axes, found: Compared, cost: scores.Of, on_front: Sequence[bool]) -> None:
    of = found.score.of
    means = [(it.spread(cost).mean, it.spread(of).mean) for it in found.groups]
    drawn = {it.label for it in found.drawn}
    rest = [at for at, it in zip(means, found.groups, strict=True) if it.label not in drawn]
    axes.plot([x for x, _ in rest], [y for _, y in rest], **_OTHERS)
    for at, group in enumerate(found.drawn):
        _mark(axes, group, cost, of, series(at))
    frame.metric_axis(axes, found.score.metric, [of(run) for run in found.runs])
    axes.margins(0.1)
    _step(axes, [at for at, kept in zip(means, on_front, strict=True) if kept])


def _mark(
    axes: Axes, group: Configuration, cost: scores.Of, of: scores.Of, look: tuple[str, str]
) -> None:
    """Its runs faint, its mean bold with the intervals of both means."""
    colour, marker = look
    x, y = group.spread(cost).mean, group.spread(of).mean
    if len(group.runs) > 1:
        each = [of(run) for run in group.runs]
        faint: dict[str, Any] = {"s": 16, "alpha": 0.4, "linewidths": 0}
        axes.scatter([cost(r) for r in group.runs], each, c=colour, marker=marker, **faint)
    if known := group.interval(cost):
        axes.hlines(y, known.low, known.high, colour, linewidth=1.2)
    if known := group.interval(of):
        axes.vlines(x, known.low, known.high, colour, linewidth=1.2)
    axes.plot([x], [y], color=colour, marker=marker, markersize=8, zorder=3)


def _step(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """What can be had at a cost: the best mean up to there, as far as the panel goes."""
    if not points:
        return
    x, y = zip(*sorted(points), strict=True)
    _, end = axes.get_xlim()
    axes.step([*x, end], [*y, y[-1]], where="post", zorder=1, **_FRONT)
    axes.set_xlim(right=end)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _DECADES * min(values)


def flop_axis(axes: Axes, values: Sequence[float]) -> str:
    """As ``frame.flop_axis``, logarithmic over decades, and wide where all costs are one budget."""
    if not _is_wide(values):
        low, high = min(values), max(values)
        if high - low < _EQUAL * high:
            axes.set_xlim((1 - _EQUAL) * high, (1 + _EQUAL) * high)
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
