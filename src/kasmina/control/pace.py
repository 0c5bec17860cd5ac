"""How fast a seed goes through its life, and what it must show on the way."""

from kasmina.control.gates import Verdict, sound, worth
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.stage import Event, Stage


class Pace:
    """Moves a seed from germination to its end.

    Args:
        incubate: ticks in training before the seed is blended in.
        hold: ticks at the target alpha before the seed is kept or pruned.
        blend_minimum: least gain in the validation metric that full blending must promise at the
            end of incubation; None blends without asking.
        keep_minimum: least contribution of a seed that is kept; None keeps every seed.
        tail: ticks at the end of the run in which no seed is germinated.

    Raises:
        ValueError: less than one tick in a stage, or a negative tail.
    """

    def __init__(
        self,
        *,
        incubate: int = 3,
        hold: int = 2,
        blend_minimum: float | None = None,
        keep_minimum: float | None = 0.0,
        tail: int = 0,
    ) -> None:
        for name, ticks in (("incubate", incubate), ("hold", hold)):
            if ticks < 1:
                raise ValueError(f"{name} takes at least 1 tick, not {ticks}")
        if tail < 0:
            raise ValueError(f"tail is at least 0 ticks, not {tail}")
        self.incubate = incubate
        self.hold = hold
        self.blend_minimum = blend_minimum
        self.keep_minimum = keep_minimum
        self.tail = tail

    def decide(self, view: SlotView) -> Decision | None:
        """The next move of the seed in this slot, None to wait."""
        if not view.alive:
            return None
        health = sound(view)
        if not health.passed:
            return _move(view, Event.PRUNE, health)
        if view.stage is Stage.GERMINATED:
            return Decision(view.site, Event.TRAIN, "a germinated seed starts to train")
        if view.stage is Stage.TRAINING and view.age >= self.incubate:
            return _through(view, Event.BLEND, self.may_blend(view))
        if view.stage is Stage.HOLDING and view.age >= self.hold:
            return _through(view, Event.FOSSILIZE, self.may_stay(view))
        return None

    def may_blend(self, view: SlotView) -> Verdict:
        """The gate at the end of incubation."""
        return worth(view, self.blend_minimum)

    def may_stay(self, view: SlotView) -> Verdict:
        """The gate at the end of holding."""
        return worth(view, self.keep_minimum)

    def in_tail(self, seen: Observation) -> bool:
        """Whether it is too late for a new seed."""
        return seen.ticks is not None and seen.tick > seen.ticks - self.tail


def _through(view: SlotView, event: Event, verdict: Verdict) -> Decision | None:
    if verdict.passed is None:
        return None
    return _move(view, event if verdict.passed else Event.PRUNE, verdict)


def _move(view: SlotView, event: Event, verdict: Verdict) -> Decision:
    reason = f"{verdict.reason} after {view.age} ticks {view.stage}"
    return Decision(view.site, event, reason, numbers={**verdict.numbers, "age": view.age})
