"""May this seed move on? Predicates over one frozen view of a slot."""

import math
from dataclasses import dataclass, field

from kasmina.control.evidence import Evidence, spend
from kasmina.control.observation import SlotView


@dataclass(frozen=True)
class Verdict:
    """Whether a gate lets a seed pass (None: it is to be asked again), why, on which numbers."""

    passed: bool | None
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


def proven(
    evidence: Evidence, *, alpha: float, looks: int, worthwhile: float, patient: bool = False
) -> Verdict:
    """A paired test says that the seed helps, and by enough; what cannot be told yet, waits.

    Passed where p is no more than this look may spend and the effect reaches ``worthwhile``;
    refused where even the upper end of the interval does not reach it, or at the last look.

    Args:
        alpha: the chance to pass any useless seed in a whole run.
        looks: at one seed, at most.
        worthwhile: least effect, in units of the monitored metric.
        patient: refuse at the last look only, for a seed that still learns.
    """
    share = spend(alpha, seed=evidence.seed, looks=looks)
    more = {"looks": looks, "spend": share, "worthwhile": worthwhile}
    enough = evidence.effect >= worthwhile
    passed: bool | None
    if evidence.p <= share and enough:
        passed, because = True, f"p {evidence.p:.2g} is within {share:.2g}"
    elif evidence.high < worthwhile and not patient:
        passed, because = False, f"futile: {evidence.high:+.4f} is below {worthwhile:+.4f}"
    else:
        short = f"p {evidence.p:.2g} is above {share:.2g}"
        because = short if enough else f"the effect is below {worthwhile:+.4f}"
        passed = None if evidence.look < looks else False
    reason = (
        f"{evidence.method} on {evidence.n} {evidence.split} samples: effect "
        f"{evidence.effect:+.4f} [{evidence.low:+.4f}, {evidence.high:+.4f}], {because}, "
        f"look {evidence.look} of {looks},"
    )
    return Verdict(passed, reason, {**evidence.numbers(), **more})
