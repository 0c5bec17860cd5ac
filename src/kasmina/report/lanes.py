"""The timeline: one lane a slot, coloured by stage, with the alpha curve on top."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kasmina.report import frame
from kasmina.report.clock import Clock
from kasmina.report.lives import ACTS, lives_of
from kasmina.report.palette import INK, PAPER, RULE, STAGE_COLOURS
from kasmina.report.records import Run
from kasmina.stage import Stage

_LANE = 0.6  # share of a lane that is coloured; the blueprint's name stands above it
_MANY = 1000  # ticks from which on the alpha curve is thin, or it would hide the stages
_LETTER = 0.066  # inches a letter of the names takes


@dataclass(frozen=True)
class Stretch:
    """A stage that a slot was in, from ``start`` to ``end`` in epochs trained."""

    stage: Stage
    start: float
    end: float


def stretches(run: Run, site: str) -> list[Stretch]:
    """The stages of one slot in order; stages left at the moment they came are not listed."""
    clock = Clock(run.metrics)
    moves = [event for event in run.events if event.site == site]
    first = next((state.stage for state in run.timeline if state.site == site), Stage.DORMANT)
    stages = [moves[0].before if moves else first, *(move.after for move in moves)]
    bounds = [0.0, *(clock.epochs(move.when) for move in moves), clock.end]
    spans = zip(stages, pairwise(bounds), strict=True)
    return [Stretch(stage, start, end) for stage, (start, end) in spans if end > start]


def lanes(run: Run, *, width: float = frame.WIDE) -> Figure:
    """A lane per slot against epochs trained."""
    sites = run.sites
    figure = frame.new_figure(width, 1.5 + (0.62 if len(sites) <= 6 else 0.5) * len(sites))
    axes = figure.subplots()
    room = width - 0.5 - _LETTER * min(_limit(width), max(map(len, sites)))
    for row, site in enumerate(sites):
        _lane(axes, run, site, row)
        _names(axes, run, site, row=row, room=room)
    frame.tidy(axes, x="epochs trained", grid=False)
    frame.epoch_axis(axes, Clock(run.metrics).end)
    axes.set_ylim(len(sites) - 0.9 + _LANE, -0.45)
    middle = [row + _LANE / 2 for row in range(len(sites))]
    axes.set_yticks(middle, [_short(site, _limit(width)) for site in sites], color=INK)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    frame.head(figure, "Life in the slots", run.summary.labels.name)
    frame.legend(figure, _handles(run))
    return figure


def _limit(width: float) -> int:
    """How many letters a site's name may have."""
    return int(2.6 * width)


def _short(name: str, limit: int) -> str:
    """The tail of a name that is too long: the end tells sites apart."""
    return name if len(name) <= limit else "…" + name[-(limit - 1) :]


def _lane(axes: Axes, run: Run, site: str, row: int) -> None:
    parts = stretches(run, site)
    axes.broken_barh(
        [(part.start, part.end - part.start) for part in parts],
        (row, _LANE),
        facecolors=[STAGE_COLOURS[part.stage] for part in parts],
        linewidth=0,
    )
    clock = Clock(run.metrics)
    ends = [clock.epochs(e.when) for e in run.events if e.site == site and e.after is Stage.PRUNED]
    axes.vlines(ends, row, row + _LANE, STAGE_COLOURS[Stage.PRUNED], linewidths=1.6)
    x, alpha = alpha_steps(run, site)
    y = [row + _LANE * (1 - value) for value in alpha]
    if len(x) < _MANY:
        axes.plot(x, y, color=PAPER, linewidth=2.4, drawstyle="steps-pre")
    axes.plot(x, y, color=INK, linewidth=1.2 if len(x) < _MANY else 0.7, drawstyle="steps-pre")


def alpha_steps(run: Run, site: str) -> tuple[list[float], list[float]]:
    """Alpha over epochs trained, where the seed acts; nan between, so that the line breaks.

    A row of the timeline says what alpha was until then, a decision what it is from then on:
    joined in that order they are the corners of a staircase (matplotlib's ``steps-pre``).
    """
    clock = Clock(run.metrics)
    points = [
        (clock.epochs(state.when), 0, state.seed.alpha if state.stage in ACTS else math.nan)
        for state in run.timeline
        if state.site == site
    ]
    for at, move in enumerate((e for e in run.events if e.site == site), start=1):
        x = clock.epochs(move.when)
        if move.after in ACTS:
            before = [(x, at, 0.0)] if move.before not in ACTS else []
            points += [*before, (x, at, move.seed.alpha)]
        else:
            points.append((x, at, math.nan))
    points.sort(key=lambda point: point[:2])
    return [x for x, _, _ in points], [alpha for _, _, alpha in points]


def _names(axes: Axes, run: Run, site: str, *, row: int, room: float) -> None:
    """Write blueprints above their lives, as far as ``room`` inches of axis leave space."""
    clock = Clock(run.metrics)
    lives = [life for life in lives_of(run.events) if life.site == site]
    starts = [clock.epochs(life.germinated) for life in lives]
    for life, (start, stop) in zip(lives, pairwise([*starts, clock.end]), strict=True):
        fit = int((stop - start) / max(clock.end, 1e-9) * room / _LETTER) - 1
        if fit < min(5, len(life.blueprint)):
            continue
        name = life.blueprint if len(life.blueprint) <= fit else life.blueprint[: fit - 1] + "…"
        axes.text(start, row - 0.05, name, fontsize=8, color=INK, va="bottom", ha="left")


def _handles(run: Run) -> list[Line2D | Patch]:
    """The stages that occur, and what the line is."""
    shown = {part.stage for site in run.sites for part in stretches(run, site)}
    pruned = any(event.after is Stage.PRUNED for event in run.events)
    style: dict[str, Any] = {"edgecolor": RULE, "linewidth": 0.5}
    handles: list[Line2D | Patch] = [
        Patch(facecolor=colour, label=str(stage), **style)
        for stage, colour in STAGE_COLOURS.items()
        if stage in shown or (stage is Stage.PRUNED and pruned)
    ]
    if any(state.stage in ACTS for state in run.timeline):
        label = "alpha, 0 to 1"
        handles.append(Line2D([], [], color=INK, linewidth=1.2, label=label))
    return handles
