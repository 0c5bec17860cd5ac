"""What a probe found, as tables, as a file and as a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from kasmina.probe import Score
from kasmina.report import frame
from kasmina.report.palette import INK, MUTED, RULE, SERIES, VALIDATION

COLUMNS = ("site", "blueprint", "score", "error", "bias", "parameters", "score_per_parameter")
"""Of the file; ``error`` and ``bias`` are those of the score."""

_ROW = 0.2  # inches
_EDGE = 1.15  # inches for title, axis and legend


def ranked(scores: Sequence[Score]) -> Table:
    """Every candidate, best first."""
    table = _table(("rank", "site", "blueprint"), ("score", "±", "bias", "parameters", "each"))
    for rank, score in enumerate(scores, start=1):
        numbers = [f"{each:.4g}" for each in (score.value, score.error, score.bias)]
        each = f"{_each(score):.3g}"
        table.add_row(
            str(rank), score.site, score.blueprint, *numbers, f"{score.parameters:,}", each
        )
    return table


def slots(found: dict[str, float]) -> Table:
    """The slots, best first, with the score of their best candidate."""
    table = _table(("slot",), ("best score",))
    for site, value in found.items():
        table.add_row(site, f"{value:.4g}")
    return table


def _table(words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for word in words:
        table.add_column(word, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _each(score: Score) -> float:
    return score.value / max(1, score.parameters)


def write_csv(path: Path, scores: Sequence[Score]) -> None:
    """A row a candidate, best first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for it in scores:
            numbers = (it.value, it.error, it.bias, it.parameters, _each(it))
            rows.writerow((it.site, it.blueprint, *numbers))


def picture(scores: Sequence[Score], *, criterion: str, width: float = 8.0) -> Figure:
    """A bar a candidate, best first, in the colour of its slot; ``width`` in inches.

    With more slots than there are colours, all have one, and the words alone tell them apart.
    """
    figure = frame.new_figure(width, _EDGE + _ROW * len(scores))
    axes = figure.subplots()
    sites = sorted({score.site for score in scores})
    colours = SERIES if len(sites) <= len(SERIES) else [VALIDATION] * len(sites)
    handles = []
    for site, colour in zip(sites, colours, strict=False):
        rows = [row for row, score in enumerate(scores) if score.site == site]
        here = [scores[row] for row in rows]
        bars = axes.barh(
            rows,
            [score.value for score in here],
            xerr=[score.error for score in here],
            height=0.7,
            color=colour,
            ecolor=INK,
            error_kw={"elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9},
            label=site,
        )
        handles.append(bars)
    axes.set_yticks(range(len(scores)), [f"{it.site}  {it.blueprint}" for it in scores])
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.set_xlim(left=0)
    frame.tidy(axes, x=f"{criterion} score, with its standard error", grid=False)
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5, length=0)
    axes.spines["left"].set_color(MUTED)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    frame.head(figure, "Where to grow: every empty slot and blueprint")
    frame.legend(figure, handles if colours is SERIES else [])
    return figure
