"""The look that all figures share: paper, axes, titles, legends. No pyplot, no global state."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kasmina.report import units
from kasmina.report.palette import INK, MUTED, PAPER, RULE

DPI = 180
WIDE, NARROW = 9.0, 4.4
"""Widths in inches: of a page, and of a telephone, where panels stand below each other."""

_PAD = 0.1  # inches of air around the panels
_CHARACTER, _TITLE_CHARACTER = 0.075, 0.094  # inches, a little generously
_ROW = 0.18  # inches that a row of the legend takes


def new_figure(width: float, height: float) -> Figure:
    """An empty figure on white paper that lays itself out; sizes in inches."""
    engine = ConstrainedLayoutEngine(w_pad=_PAD, h_pad=0.8 * _PAD)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=engine)
    FigureCanvasAgg(figure)
    return figure


def columns(width: float) -> int:
    """How many panels stand side by side."""
    return 2 if width > (WIDE + NARROW) / 2 else 1


def head(figure: Figure, title: str, name: str = "") -> None:
    """A title, flush left; the name of the run is added where it fits."""
    whole = f"{title}: {name}" if name else title
    room = figure.get_figwidth() - 2 * _PAD
    text = whole if len(whole) * _TITLE_CHARACTER <= room else title
    start = _PAD / figure.get_figwidth()
    figure.suptitle(text, x=start, ha="left", fontsize=10.5, fontweight="bold", color=INK)


def tidy(axes: Axes, *, x: str = "", y: str = "", grid: bool = True) -> None:
    """Label the axes, take off what says nothing, and set a faint grid behind the data."""
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)
    axes.tick_params(labelsize=8.5, colors=MUTED, length=3, color=RULE)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(RULE)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis="y", color=RULE, linewidth=0.6)


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """All entries below the panels, where they cover no data; each further row adds height."""
    if not handles:
        return
    labels = [str(handle.get_label()) for handle in handles]
    columns = _legend_columns(labels, figure.get_figwidth() - 2 * _PAD)
    rows = math.ceil(len(labels) / columns)
    figure.set_figheight(figure.get_figheight() + _ROW * (rows - 1))
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=columns,
        fontsize=8.5,
        labelcolor=INK,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.6,
    )


def _legend_columns(labels: Sequence[str], room: float) -> int:
    """As few rows as fit into ``room`` inches; matplotlib fills columns, the first ones deeper."""
    for rows in range(1, len(labels) + 1):
        number = math.ceil(len(labels) / rows)
        columns = np.array_split(np.array([len(label) for label in labels]), number)
        if sum(0.55 + _CHARACTER * column.max() for column in columns) <= room:
            return number
    return 1


def epoch_axis(axes: Axes, end: float) -> None:
    """Epochs from 0 to ``end``; whole ones are marked."""
    axes.set_xlim(0, max(end, 1e-9) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=end >= 2))


def flop_axis(axes: Axes, values: Iterable[float]) -> str:
    """Format the x axis in the unit that suits the values; returns its label."""
    size, name = units.flop_unit(max(values, default=0.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / size:,.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    return f"training compute ({name})"


def metric_axis(axes: Axes, name: str, values: Iterable[float]) -> None:
    """Percent for shares; a logarithm where a loss spans more than two decades."""
    finite = [value for value in values if value == value]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if units.is_share(name) and high <= 1:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g} %"))
    elif low > 0 and high > 100 * low:
        axes.set_yscale("log")


def lying_axis(axes: Axes, name: str, *, signed: bool = False) -> None:
    """A metric, or differences of it, on the x axis; shares in percent, or in points."""
    size, unit = (100, "" if signed else " %") if units.is_share(name) else (1, "")
    form = "+.3g" if signed else ".4g"
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{size * x:{form}}{unit}" if x or not signed else "0")
    )
