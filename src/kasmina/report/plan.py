"""What an ablation planned (``ablation.json``), and which run is which of its arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmina.ablation import PLAN
from kasmina.report.parse import Fields, read_json


@dataclass(frozen=True)
class Arm:
    """One planned job; the arms of several seeds share a label.

    Args:
        levels: by axis; empty for an arm beside the axes, such as a baseline.
        overrides: the last ones of the job, with ``{level}`` for another run's folder.
    """

    label: str
    levels: Mapping[str, str]
    seed: int | None
    number: int
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A planned ablation.

    Args:
        measure: what arms are compared by: ``score``, or ``seconds_per_step``.
    """

    name: str
    question: str
    axes: Mapping[str, tuple[str, ...]]
    baseline: str
    arms: Mapping[int, Arm]
    measure: str = "score"

    @property
    def design(self) -> tuple[str, str, str, str]:
        """What two plans must share to be one ablation."""
        return self.name, self.baseline, self.measure, repr(dict(self.axes))


def read_plan(folder: Path) -> Plan:
    """Read ``ablation.json`` of a folder.

    Raises:
        RunError: it cannot be read; one line that says why.
    """
    whole = read_json(folder / PLAN)
    axes = {axis: tuple(map(str, its)) for axis, its in whole.part("axes").values.items()}
    rows = [Fields(row, f"{whole.place}: arms") for row in whole.get("arms")]
    arms = [_arm(row, axes) for row in rows]
    return Plan(
        name=whole.text("name"),
        question=whole.text("question"),
        axes=axes,
        baseline=whole.text("baseline"),
        arms={arm.number: arm for arm in arms},
        measure=str(whole.values.get("measure", "score")),
    )


def _arm(row: Fields, axes: Mapping[str, Sequence[str]]) -> Arm:
    label = row.text("label")
    levels = _levels(label, list(axes.values()))
    seed = None if row.values.get("seed") is None else row.integer("seed")
    chosen = dict(zip(axes, levels, strict=True)) if levels else {}
    overrides = tuple(map(str, row.values.get("overrides") or ()))
    return Arm(label, chosen, seed, row.integer("number"), overrides)


def _levels(label: str, axes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The levels that a label joins by a comma, of which they may hold some themselves."""
    if len(axes) == 1:
        return (label,) if label in axes[0] else ()
    for level in axes[0] if axes else ():
        if label.startswith(f"{level}, "):
            rest = _levels(label[len(level) + 2 :], axes[1:])
            if rest:
                return (level, *rest)
    return ()
