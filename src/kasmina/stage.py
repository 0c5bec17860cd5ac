"""The lifecycle of a seed: stages, events, and the one table that joins them.

Nothing outside this file decides what may follow what. A move that is not in the table raises
and changes nothing. Controllers mask their actions with a row of the table, and the diagram in
the docs is drawn from it.
"""

from enum import StrEnum


class Stage(StrEnum):
    """Where the seed of a slot stands."""

    DORMANT = "dormant"
    GERMINATED = "germinated"
    TRAINING = "training"
    BLENDING = "blending"
    HOLDING = "holding"
    FOSSILIZED = "fossilized"
    PRUNED = "pruned"
    EMBARGOED = "embargoed"


class Event(StrEnum):
    """What a slot can be told."""

    GERMINATE = "germinate"
    TRAIN = "train"
    BLEND = "blend"
    HOLD = "hold"
    FOSSILIZE = "fossilize"
    PRUNE = "prune"
    EMBARGO = "embargo"
    RELEASE = "release"


class IllegalMove(RuntimeError):
    """An event that the present stage does not hear."""


NEXT: dict[Stage, dict[Event, Stage]] = {
    Stage.DORMANT: {Event.GERMINATE: Stage.GERMINATED},
    Stage.GERMINATED: {Event.TRAIN: Stage.TRAINING, Event.PRUNE: Stage.PRUNED},
    Stage.TRAINING: {Event.BLEND: Stage.BLENDING, Event.PRUNE: Stage.PRUNED},
    Stage.BLENDING: {Event.HOLD: Stage.HOLDING, Event.PRUNE: Stage.PRUNED},
    Stage.HOLDING: {
        Event.BLEND: Stage.BLENDING,  # a ramp down, or to a partial alpha
        Event.FOSSILIZE: Stage.FOSSILIZED,
        Event.PRUNE: Stage.PRUNED,
    },
    Stage.FOSSILIZED: {},
    Stage.PRUNED: {Event.EMBARGO: Stage.EMBARGOED},
    Stage.EMBARGOED: {Event.RELEASE: Stage.DORMANT},
}

ALIVE = frozenset({Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.HOLDING})
"""Stages of a seed whose fate is still open."""


ROLLBACK = "rollback"
"""What a record says of a slot that was put back; no event: nothing asks a slot for it."""


def hears(stage: Stage) -> tuple[Event, ...]:
    """The events that ``stage`` accepts."""
    return tuple(NEXT[stage])


def after(stage: Stage, event: Event) -> Stage:
    """The stage that follows ``event`` in ``stage``.

    Raises:
        IllegalMove: the table has no such move.
    """
    if event not in NEXT[stage]:
        possible = ", ".join(hears(stage)) or "nothing, it is final"
        raise IllegalMove(f"cannot {event} while {stage}; this stage hears: {possible}")
    return NEXT[stage][event]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    rows = [
        f"    {stage} --> {target}: {event}"
        for stage, moves in NEXT.items()
        for event, target in moves.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Stage.DORMANT}", *rows])
