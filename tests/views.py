"""What a controller sees, made by hand."""

from dataclasses import replace
from typing import Any

from kasmina.control import Decision, Observation, SlotView
from kasmina.stage import Stage

SIZES = {"small": 10, "big": 90, "middle": 40}


def view(site: str = "a", stage: Stage = Stage.DORMANT, **facts: Any) -> SlotView:
    plain = SlotView(
        site=site,
        kind="map",
        width=8,
        stage=stage,
        age=0,
        births=0,
        alpha=0.0,
        blueprint=None,
        parameters=0,
        contribution=None,
        seed_loss=None,
        sizes=SIZES,
    )
    return replace(plain, **facts)


def seen(*slots: SlotView, tick: int = 5, **facts: Any) -> Observation:
    plain = Observation(
        tick=tick,
        ticks=None,
        epoch=tick - 1,
        step=10 * tick,
        metrics={},
        history=(0.0,) * tick,
        slots=slots,
    )
    return replace(plain, **facts)


def told(plan: list[Decision]) -> list[tuple[str, str, str | None]]:
    return [(d.site, str(d.event), d.blueprint) for d in plan]
