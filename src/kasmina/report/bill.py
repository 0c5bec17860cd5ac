"""Where the training FLOPs went: by part, and by seed."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kasmina.report import frame, units
from kasmina.report.palette import FATE_COLOURS, INK, MUTED, PAPER, PART_COLOURS
from kasmina.report.records import Ledger, Run, SeedBill

_MOST = 10  # seeds that get a bar of their own
_HATCHED: dict[str, Any] = {
    "facecolor": PAPER,
    "edgecolor": FATE_COLOURS["pruned"],
    "hatch": "/////",
}
_FATES = {"fossilized": "kept", "kept": "kept", "pruned": "pruned"}


def parts_of(ledger: Ledger) -> dict[str, float]:
    """The parts that add up to the total and are not zero; ``main`` is host and seeds together."""
    parts = {name: ledger.flops.get(name, 0.0) for name in PART_COLOURS}
    return {name: value for name, value in parts.items() if math.isfinite(value) and value > 0}


def pruned_flops(ledger: Ledger) -> float:
    """What went to seeds that were later pruned; a share of the parts, not one more part."""
    value = ledger.flops.get("pruned_seeds", 0.0)
    return value if math.isfinite(value) else 0.0


def fate_of(seed: SeedBill) -> str:
    """``kept``, ``pruned`` or ``open``."""
    return _FATES.get(seed.fate, "open")


def dearest(ledger: Ledger) -> list[SeedBill]:
    """The seeds that cost most, the dearest first."""
    return sorted(ledger.seeds, key=lambda seed: -seed.flops)[:_MOST]


def bill(run: Run, *, width: float = frame.WIDE) -> Figure:
    """One bar of the parts of the total, and below it a bar a seed."""
    seeds = dearest(run.ledger)
    heights = [0.62, 0.36 * len(seeds)] if seeds else [0.62]
    figure = frame.new_figure(width, 1.4 + sum(heights))
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
    _parts(panels[0], run.ledger)
    if seeds:
        _seeds(panels[1], seeds, more=len(run.ledger.seeds) - len(seeds))
    frame.head(figure, "Where the compute went", run.summary.labels.name)
    frame.legend(figure, _handles(run.ledger))
    return figure


def _bare(axes: Axes) -> None:
    """No axis: the values stand at the bars."""
    frame.tidy(axes, grid=False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _parts(axes: Axes, ledger: Ledger) -> None:
    """The stacked bar; a hatched strip below it shows what pruned seeds took of it."""
    parts = parts_of(ledger)
    left = 0.0
    for name, value in parts.items():
        axes.barh(0, value, left=left, height=0.5, color=PART_COLOURS[name], edgecolor=PAPER)
        left += value
    if pruned_flops(ledger) > 0:
        axes.barh(0.4, pruned_flops(ledger), height=0.2, **_HATCHED)
    _bare(axes)
    axes.set(xlim=(0, left or 1), ylim=(0.52, -0.26))


def _seeds(axes: Axes, seeds: list[SeedBill], *, more: int) -> None:
    """Thin bars, each below its words, so that long names need no margin."""
    for row, seed in enumerate(seeds):
        axes.barh(row, seed.flops, height=0.3, color=FATE_COLOURS[fate_of(seed)])
        words = f"{seed.blueprint} at {seed.site}, tick {seed.germinated_tick}"
        text = f"{words}: {units.flops(seed.flops)}"
        axes.text(0, row - 0.2, text, fontsize=8.5, color=INK, va="bottom", ha="left")
    most = max(seed.flops for seed in seeds)
    _bare(axes)
    axes.set(xlim=(0, most or 1), ylim=(len(seeds) - 0.8, -0.75))
    if more:
        left = f"{units.plural(more, 'cheaper seed')} not shown"
        axes.set_xlabel(left, color=MUTED, fontsize=8.5, loc="left")


def _handles(ledger: Ledger) -> list[Patch]:
    parts = parts_of(ledger)
    total = sum(parts.values())
    handles = [
        Patch(facecolor=PART_COLOURS[name], label=f"{name} {_priced(value, total)}")
        for name, value in parts.items()
    ]
    if (pruned := pruned_flops(ledger)) > 0:
        handles.append(Patch(label=f"of all, pruned seeds {_priced(pruned, total)}", **_HATCHED))
    present = {fate_of(seed) for seed in ledger.seeds}
    fates = {fate: colour for fate, colour in FATE_COLOURS.items() if fate in present}
    return [*handles, *(Patch(facecolor=c, label=f"seed {f}") for f, c in fates.items())]


def _priced(value: float, total: float) -> str:
    return f"{units.flops(value)} ({units.percent(value / total)})"
