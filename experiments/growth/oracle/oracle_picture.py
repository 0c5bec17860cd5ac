"""Bars of shares over dots of every candidate's gain."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from oracle_runs import HOSTS
from oracle_shares import NOTHING, ORACLE, Cells, Table

from kasmina.bench.sheet import Row
from kasmina.report import frame
from kasmina.report.palette import INK, MARKERS, RULE, SERIES, VALIDATION


def draw(rows: Sequence[Cells], table: Sequence[Row], path: Path) -> None:
    """Save the picture.

    Args:
        rows: a run each.
        table: a way each.
    """
    hosts = [name for name in HOSTS if any(row["host"] == name for row in rows)]
    figure = frame.new_figure(frame.WIDE, 8.2)
    layout = [["shares"] * len(hosts), hosts]
    panels = figure.subplot_mosaic(layout, height_ratios=[1.5, 1])
    _bars(panels["shares"], [row for row in table if row["way"] != ORACLE])
    first = panels[hosts[0]]
    for name in hosts:
        if panels[name] is not first:
            panels[name].sharey(first)
        _dots(panels[name], [row for row in rows if row["host"] == name])
        panels[name].set_title(name, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    first.set_ylabel("gain, nats a sample")
    frame.head(figure, "One growth decision: what share of the oracle's gain each way reaches")
    frame.legend(figure, _handles(rows))
    figure.savefig(path)


def _bars(axes: Axes, table: Sequence[Row]) -> None:
    """Best first."""
    ordered = sorted(table, key=lambda row: -_number(row, "share of loss"))
    room = axes.get_yaxis_transform()
    for at, row in enumerate(ordered):
        share, low, high = (_number(row, n) for n in ("share of loss", "loss low", "loss high"))
        axes.barh(at, share, height=0.66, color=VALIDATION, alpha=0.55)
        axes.hlines(at, low, high, INK, linewidth=1.1)
        words = f"{share:.0%}, {_number(row, 'parameters'):,.0f} parameters"
        axes.text(1.01, at, words, va="center", fontsize=8.5, color=INK, transform=room)
    axes.set_yticks(range(len(ordered)), [str(row["way"]) for row in ordered])
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.set_xlim(right=1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.axvline(0, color=INK, linewidth=0.8)
    frame.tidy(axes, x="gain in validation loss over the oracle's, 95 % interval", grid=False)
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5, length=0)
    axes.grid(axis="x", color=RULE, linewidth=0.6)


def _dots(axes: Axes, rows: Sequence[Cells]) -> None:
    """The mean over seeds of each candidate."""
    (host,) = {row["host"] for row in rows}
    tables = [Table(rows, host, int(seed)) for seed in {row["seed"] for row in rows}]
    sites, blueprints = _names(rows)
    for key, parameters in tables[0].parameters.items():
        gain = fmean(table.loss[key] for table in tables)
        colour, marker = SERIES[sites.index(key[0])], MARKERS[blueprints.index(key[1])]
        axes.plot(parameters, gain, marker=marker, color=colour, markersize=6, linestyle="")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    frame.tidy(axes, x="parameters", y=axes.get_ylabel())


def _handles(rows: Sequence[Cells]) -> list[Line2D | Patch]:
    """Slots by colour, blueprints by marker."""
    sites, blueprints = _names(rows)
    slots = [Patch(color=c, label=site) for site, c in zip(sites, SERIES, strict=False)]
    return slots + [
        Line2D([], [], color=INK, marker=marker, linestyle="", label=name)
        for name, marker in zip(blueprints, MARKERS, strict=False)
    ]


def _names(rows: Sequence[Cells]) -> tuple[list[str], list[str]]:
    grown = [row for row in rows if row["blueprint"] != NOTHING]
    return sorted({row["site"] for row in grown}), sorted({row["blueprint"] for row in grown})


def _number(row: Row, name: str) -> float:
    return float(str(row[name]))
