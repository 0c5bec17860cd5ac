"""Marks where seeds were born, kept or given up."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kasmina.report.palette import STAGE_COLOURS
from kasmina.report.records import Decision
from kasmina.stage import Stage

_MARKS = {
    Stage.GERMINATED: ("^", STAGE_COLOURS[Stage.BLENDING], "germinated"),
    Stage.FOSSILIZED: ("o", STAGE_COLOURS[Stage.FOSSILIZED], "fossilized (kept)"),
    Stage.PRUNED: ("X", STAGE_COLOURS[Stage.PRUNED], "pruned"),
}
_DOT: dict[str, Any] = {"markersize": 5, "linestyle": "", "markeredgewidth": 0}
_MANY = 24  # from here on lines would hide the curves: only the marks above the panel stay


def draw_marks(axes: Axes, events: Sequence[Decision], positions: Sequence[float]) -> None:
    """Mark each germination, fossilization and prune above the axes and by a faint line."""
    marked = [(e.after, x) for e, x in zip(events, positions, strict=True) if e.after in _MARKS]
    for stage, (marker, colour, _) in _MARKS.items():
        here = [x for after, x in marked if after is stage]
        if not here:
            continue
        above = axes.get_xaxis_transform()
        # Fates stand one row above births: a seed may be born where another is pruned.
        row = 1.03 if stage is Stage.GERMINATED else 1.075
        style: dict[str, Any] = {"color": colour, "marker": marker, **_DOT}
        axes.plot(here, [row] * len(here), clip_on=False, transform=above, **style)
        if len(marked) <= _MANY:
            axes.vlines(here, 0, 1.02, colour, linewidths=0.8, alpha=0.55, transform=above)


def mark_handles(events: Sequence[Decision]) -> list[Line2D]:
    """Legend entries for the marks that occur."""
    occur = {event.after for event in events}
    return [
        Line2D([], [], color=colour, marker=marker, label=label, **_DOT)
        for stage, (marker, colour, label) in _MARKS.items()
        if stage in occur
    ]
