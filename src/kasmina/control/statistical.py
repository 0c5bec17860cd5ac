"""A pace whose gates are tests with a known error rate."""

from collections.abc import Sequence

from kasmina.control.gates import Verdict, proven
from kasmina.control.observation import SlotView
from kasmina.control.pace import Pace
from kasmina.stage import Stage
from kasmina.suggest import unknown

_TESTED = (Stage.TRAINING, Stage.HOLDING)


class Statistical(Pace):
    """As ``Pace``, but a seed goes on from ``stages`` only when a paired test says that it helps.

    A seed that is tested in both stages has to pass both, so neither share of error is split.

    Args:
        stages: at whose end a seed is tested. ``training``: blended in fully, against the host,
            which the seed has not touched. ``holding``: as it is, against the network without it,
            which has adapted to it; alone, this passes useless seeds that the host has come to
            lean on.
        alpha: the chance to pass any useless seed in a whole run, whatever the number of seeds.
        looks: at one seed in one stage, at most; after the last an unproven seed is pruned.
        worthwhile: least effect of a seed that goes on, in units of the monitored metric.
        confidence: of the two-sided interval, whose upper end says when to give a seed up.
        resamples: of the test of losses; its p is no less than 1 / (resamples + 1).

    The others as ``Pace``; its minima hold at the end of a stage that is not tested.

    Raises:
        ValueError: a stage that has no gate or none at all, a share outside (0, 1), less than one
            look or resample, or what ``Pace`` refuses.
    """

    def __init__(
        self,
        *,
        incubate: int = 3,
        hold: int = 2,
        stages: Sequence[str] = ("training", "holding"),
        alpha: float = 0.05,
        looks: int = 3,
        worthwhile: float = 0.005,
        confidence: float = 0.9,
        resamples: int = 20_000,
        blend_minimum: float | None = None,
        keep_minimum: float | None = 0.0,
        tail: int = 0,
    ) -> None:
        super().__init__(
            incubate=incubate,
            hold=hold,
            blend_minimum=blend_minimum,
            keep_minimum=keep_minimum,
            tail=tail,
        )
        for stage in stages:
            if stage not in _TESTED:
                raise ValueError(unknown("stage with a gate", stage, _TESTED))
        if not stages:
            raise ValueError(f"stages names at least one of {', '.join(_TESTED)}")
        for name, share in (("alpha", alpha), ("confidence", confidence)):
            if not 0 < share < 1:
                raise ValueError(f"{name} lies between 0 and 1, not at {share}")
        for name, count in (("looks", looks), ("resamples", resamples)):
            if count < 1:
                raise ValueError(f"{name} is at least 1, not {count}")
        self.stages = tuple(stages)
        self.alpha, self.looks, self.worthwhile = alpha, looks, worthwhile
        self.confidence, self.resamples = confidence, resamples

    def asks(self, stage: Stage, age: int) -> bool:
        """Whether a seed of this age is to be tested."""
        least = {Stage.TRAINING: self.incubate, Stage.HOLDING: self.hold}
        return stage in self.stages and age >= least[stage]

    def may_blend(self, view: SlotView) -> Verdict:
        """The gate at the end of incubation."""
        return self._gate(view) if Stage.TRAINING in self.stages else super().may_blend(view)

    def may_stay(self, view: SlotView) -> Verdict:
        """The gate at the end of holding."""
        return self._gate(view) if Stage.HOLDING in self.stages else super().may_stay(view)

    def _gate(self, view: SlotView) -> Verdict:
        if view.evidence is None:
            raise ValueError(
                f"no evidence of the seed at {view.site!r}: a statistical pace needs "
                "kasmina.callbacks.looks.GateLooks before the lifecycle in callbacks"
            )
        return proven(
            view.evidence,
            alpha=self.alpha,
            looks=self.looks,
            worthwhile=self.worthwhile,
            patient=view.stage is Stage.TRAINING,
        )
