"""Every figure of the report: its name, what it shows, and when there is something to show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from matplotlib.figure import Figure

from kasmina.report import frame
from kasmina.report.bands import comparison
from kasmina.report.bill import bill, parts_of
from kasmina.report.compared import Compared
from kasmina.report.curves import curves
from kasmina.report.dots import axis_effects, versus_baseline
from kasmina.report.growth import growth
from kasmina.report.lanes import lanes
from kasmina.report.records import Run
from kasmina.report.versus import tradeoff

S = TypeVar("S")


@dataclass(frozen=True)
class Picture(Generic[S]):
    """One figure of a subject: a run, or configurations that are compared.

    Args:
        name: the file's name without its ending.
        caption: how to read it.
        draw: called with the subject and ``width`` in inches.
        fits: whether the subject holds what is drawn.
    """

    name: str
    title: str
    caption: str
    draw: Callable[..., Figure]
    fits: Callable[[S], bool]


RUN_PICTURES: tuple[Picture[Run], ...] = (
    Picture(
        "curves",
        "What it learned",
        "The monitored metric and the loss, against epochs trained and against all training "
        "compute spent so far (main passes, incubation and evaluation). Marks above the panels "
        "show where seeds germinated, were kept or were pruned; the ring is the best validation.",
        curves,
        lambda run: bool(run.metrics),
    ),
    Picture(
        "stages",
        "What grew",
        "One lane per slot. The colour is the stage of its seed, the name above a lane is the "
        "blueprint, and the line is alpha, the weight of the seed's output: at the foot of the "
        "lane it is 0, at its top 1. An upright orange stroke is a prune.",
        lanes,
        lambda run: bool(run.metrics and run.sites),
    ),
    Picture(
        "parameters",
        "How large it was",
        "Parameters of the host and of the seeds in its slots, whatever their stage.",
        growth,
        lambda run: bool(run.metrics),
    ),
    Picture(
        "compute",
        "Where the compute went",
        "The upper bar is all training compute by what it was spent on; the hatched strip is the "
        "share that went to seeds which were pruned later. Below, what each seed cost.",
        bill,
        lambda run: bool(parts_of(run.ledger)),
    ),
)
"""The figures of one run, in the order of the page."""


def _drawable(found: Compared) -> bool:
    return all(run.metrics for run in found.runs)


GROUP_PICTURES: tuple[Picture[Compared], ...] = (
    Picture(
        "tradeoff",
        "What the cost bought",
        "Faint marks are single runs, bold ones the mean of a configuration; bars are bootstrap "
        "95 % intervals of the mean. Further up or down (as the metric has it) at the same cost is "
        "better; further left at the same metric is cheaper. No configuration beats one on the "
        "dashed front in both.",
        tradeoff,
        _drawable,
    ),
    Picture(
        "differences",
        "Against the baseline",
        "Mean of the differences between runs of the same seed, with its bootstrap 95 % interval. "
        "A filled mark is a difference that the corrected paired t-test shows.",
        versus_baseline,
        lambda found: any(it.pairs for it in found.differences),
    ),
    Picture(
        "effects",
        "What each axis does",
        "The mean at each level of an axis, over the same combinations of the other axes at every "
        "level; first averaged within a seed, then over the seeds that have all of them. Bars are "
        "bootstrap 95 % intervals over those seeds. A mean over other axes can hide that they "
        "change what this one does.",
        axis_effects,
        lambda found: bool(found.effects),
    ),
    Picture(
        "comparison",
        "How they learned",
        "Mean of the finished runs of each configuration, with a band of its bootstrap 95 % "
        "interval at each point, drawn as far as all of its runs go.",
        comparison,
        _drawable,
    ),
)
"""The figures of several runs, in the order of the page."""


def figures_of(run: Run, *, width: float = frame.WIDE) -> dict[str, Figure]:
    """Every figure that the run has data for, by name; ``width`` in inches."""
    return {it.name: it.draw(run, width=width) for it in RUN_PICTURES if it.fits(run)}


def figures_of_groups(found: Compared, *, width: float = frame.WIDE) -> dict[str, Figure]:
    """The figures that compare configurations, by name; ``width`` in inches."""
    return {it.name: it.draw(found, width=width) for it in GROUP_PICTURES if it.fits(found)}
