"""The metric and the loss of one run, against epochs and against what they cost."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kasmina.report import frame, scores, units
from kasmina.report.clock import Clock
from kasmina.report.marks import draw_marks, mark_handles
from kasmina.report.palette import BROKEN, INK, TRAINING, VALIDATION
from kasmina.report.records import Metrics, Run

_RING: dict[str, Any] = {"marker": "o", "fillstyle": "none", "linestyle": ""}
_CROSS: dict[str, Any] = {"marker": "x", "markersize": 6, "linestyle": "", "markeredgewidth": 1.6}


def panels(goal: str, names: Sequence[str]) -> list[str]:
    """What gets a row of panels: the monitored metric, and the loss beside it."""
    return [name for name in dict.fromkeys([goal, "val/loss"]) if name in names]


def values_of(metrics: Sequence[Metrics], name: str) -> list[float]:
    """One metric at every validation; what is not finite reads as nan."""
    values = (row.values.get(name, math.nan) for row in metrics)
    return [value if math.isfinite(value) else math.nan for value in values]


def curves(run: Run, *, width: float = frame.WIDE) -> Figure:
    """Metric and loss against epochs (first column) and training FLOPs (second)."""
    names = panels(run.goal.monitor, list(run.metrics[0].values))
    across = frame.columns(width)
    down = max(1, len(names)) * 2 // across
    figure = frame.new_figure(width, 0.7 + 2.3 * down)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for at, name in enumerate(names):
        pair = grid[2 * at : 2 * at + 2]
        _pair(run, name, list(pair))
    frame.head(figure, "Learning curves", run.summary.labels.name)
    frame.legend(figure, [*_line_handles(run), *mark_handles(run.events)])
    return figure


def _pair(run: Run, name: str, pair: Sequence[Axes]) -> None:
    """One metric, drawn against epochs and against FLOPs."""
    clock = Clock(run.metrics)
    bare = units.label(name.rpartition("/")[2])
    by_epochs, by_flops = pair
    _panel(by_epochs, run, name, clock.all_epochs())
    frame.tidy(by_epochs, x="epochs trained", y=bare)
    frame.epoch_axis(by_epochs, clock.end)
    draw_marks(by_epochs, run.events, [clock.epochs(event.when) for event in run.events])
    _panel(by_flops, run, name, clock.all_flops())
    label = frame.flop_axis(by_flops, clock.all_flops())
    frame.tidy(by_flops, x=label, y=bare)
    by_flops.set_xlim(0, max(clock.all_flops()) * 1.02 or 1)
    draw_marks(by_flops, run.events, [clock.flops(event.when) for event in run.events])


def _panel(axes: Axes, run: Run, name: str, x: Sequence[float]) -> None:
    trained = values_of(run.metrics, name.replace("val/", "train/"))
    validated = values_of(run.metrics, name)
    few = len(x) <= 30
    style: dict[str, Any] = {"marker": "o" if few else "", "markersize": 3}
    width = 1.7 if len(x) <= 1000 else 0.8
    axes.plot(x, trained, color=TRAINING, linewidth=0.8 * width, **style)
    axes.plot(x, validated, color=VALIDATION, linewidth=width, **style)
    frame.metric_axis(axes, name, [*trained, *validated])
    broken = [at for at, value in zip(x, validated, strict=True) if math.isnan(value)]
    foot = axes.get_xaxis_transform()
    axes.plot(broken, [0.03] * len(broken), transform=foot, color=BROKEN, **_CROSS)
    if name == run.goal.monitor:
        _mark_best(axes, run, x)


def _mark_best(axes: Axes, run: Run, x: Sequence[float]) -> None:
    at, value = scores.best_row(run), scores.best(run)
    if at is not None and math.isfinite(value):
        axes.plot([x[at]], [value], color=INK, markersize=9, markeredgewidth=1.3, **_RING)


def _line_handles(run: Run) -> list[Line2D]:
    handles = [Line2D([], [], color=VALIDATION, linewidth=1.7, label="validation")]
    if any(name.startswith("train/") for name in run.metrics[0].values):
        handles.append(Line2D([], [], color=TRAINING, linewidth=1.4, label="training"))
    best = run.summary.score.best
    if best is not None:
        text = f"best: {units.metric(run.goal.monitor, best.value)}"
        handles.append(Line2D([], [], color=INK, label=text, markersize=7, **_RING))
    watched = panels(run.goal.monitor, list(run.metrics[0].values))
    if any(math.isnan(value) for name in watched for value in values_of(run.metrics, name)):
        handles.append(Line2D([], [], color=BROKEN, label="not finite", **_CROSS))
    return handles
