"""May this seed move on? Predicates over one frozen view of a slot."""

import math
from dataclasses import dataclass, field

from kasmina.control.observation import SlotView


@dataclass(frozen=True)
class Verdict:
    """Whether a gate lets a seed pass, why, and on which numbers."""

    passed: bool
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


def sound(view: SlotView) -> Verdict:
    """The seed's incubation loss and contribution are finite where they were measured."""
    measured = {"seed_loss": view.seed_loss, "contribution": view.contribution}
    numbers = {name: value for name, value in measured.items() if value is not None}
    broken = [name for name, value in numbers.items() if not math.isfinite(value)]
    reason = f"{' and '.join(broken)} not finite" if broken else "every measure is finite"
    return Verdict(not broken, reason, numbers)


def worth(view: SlotView, minimum: float | None) -> Verdict:
    """The seed's contribution reaches ``minimum`` (None asks for nothing)."""
    if minimum is None:
        return Verdict(True, "no contribution is asked for")
    if view.contribution is None:
        return Verdict(False, "its contribution was not measured")
    numbers = {"contribution": view.contribution, "minimum": minimum}
    side = "reaches" if view.contribution >= minimum else "is below"
    reason = f"contribution {view.contribution:+.4f} {side} {minimum:+.4f}"
    return Verdict(view.contribution >= minimum, reason, numbers)
