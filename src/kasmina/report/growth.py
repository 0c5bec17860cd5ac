"""The number of parameters over time: the host, and on it the seeds of each slot."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from kasmina.report import frame, units
from kasmina.report.clock import Clock
from kasmina.report.lives import PRUNED, Life, lives_of
from kasmina.report.palette import PART_COLOURS
from kasmina.report.records import Run

Steps = Sequence[tuple[float, float]]
"""(epochs trained, parameters from then on), in order."""


_SMALL = 0.1  # seeds below this share of the host would be a line on top of it: draw them alone


@dataclass(frozen=True)
class Layer:
    """One colour of the stack."""

    label: str
    colour: str
    steps: Steps


def growth(run: Run, *, width: float = frame.WIDE) -> Figure:
    """Parameters of host and seeds, stacked, against epochs trained."""
    end = Clock(run.metrics).end
    host = run.summary.parameters.host
    seeds = _seed_layers(run)
    small = 0 < _heights(seeds, end)[-1].max(initial=0.0) < _SMALL * host
    layers = seeds if small else [_host_layer(host), *seeds]
    figure = frame.new_figure(width, 3.0)
    axes = figure.subplots()
    _stack(axes, layers, end)
    frame.tidy(axes, x="epochs trained", y="parameters of seeds" if small else "parameters")
    frame.epoch_axis(axes, end)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: units.count(y)))
    beside = f" on a host of {units.count(host)}" if small else ""
    frame.head(figure, f"Parameters{beside}", run.summary.labels.name)
    frame.legend(figure, [Patch(facecolor=it.colour, label=it.label) for it in layers])
    return figure


def _host_layer(parameters: int) -> Layer:
    return Layer("host", PART_COLOURS["host"], [(0.0, float(parameters))])


def _seed_layers(run: Run) -> list[Layer]:
    """A layer for each site that ever held a seed."""
    clock = Clock(run.metrics)
    held: dict[str, list[Life]] = {site: [] for site in run.sites}
    for life in lives_of(run.events):
        held.setdefault(life.site, []).append(life)
    steps = {site: _steps(lives, clock) for site, lives in held.items() if lives}
    colours = _site_colours(len(steps))
    return [
        Layer(f"seed at {site}", colour, steps[site])
        for site, colour in zip(steps, colours, strict=True)
    ]


def _steps(lives: Sequence[Life], clock: Clock) -> Steps:
    """From germination on the seed's parameters, from pruning on none."""
    steps = []
    for life in lives:
        steps.append((clock.epochs(life.germinated), float(life.parameters)))
        if life.fate == PRUNED and life.ended is not None:
            steps.append((clock.epochs(life.ended), 0.0))
    return steps


def _site_colours(number: int) -> list[str]:
    """From dark to light along one map that rises in lightness, as the slots lie in depth."""
    ramp = colormaps["plasma"]
    return [to_hex(ramp(0.12 + 0.75 * at / max(1, number - 1))) for at in range(number)]


def _value(steps: Steps, x: float) -> float:
    """The parameters at ``x``: those of the last step that has come."""
    at = bisect_right(steps, x, key=lambda step: step[0])
    return steps[at - 1][1] if at else 0.0


def _positions(layers: Sequence[Layer], end: float) -> list[float]:
    return sorted({0.0, end, *(when for layer in layers for when, _ in layer.steps)})


def _heights(layers: Sequence[Layer], end: float) -> NDArray[np.float64]:
    """Lower edge of every layer and, last, the top; one column a position."""
    x = _positions(layers, end)
    rows = [np.zeros(len(x)), *([_value(layer.steps, when) for when in x] for layer in layers)]
    return np.cumsum(np.array(rows), axis=0)


def _stack(axes: Axes, layers: Sequence[Layer], end: float) -> None:
    edges = _heights(layers, end)
    x = _positions(layers, end)
    for layer, low, high in zip(layers, edges, edges[1:], strict=False):
        axes.fill_between(x, low, high, step="post", color=layer.colour, linewidth=0)
    axes.set_ylim(0, float(edges[-1].max()) * 1.06 or 1)
