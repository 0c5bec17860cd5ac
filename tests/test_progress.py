"""What a person sees."""

from pathlib import Path

import pytest
from runs import VECTORS, fit, made, timeline

from kasmina.callbacks.progress import GrowthBar
from kasmina.control.observation import Decision
from kasmina.stage import NEXT, Event, Stage
from kasmina.surgery import Change, perform

MARKS = dict(zip(Stage, ["·", "g", "t", "b0.35", "h", "F", "x", "e"], strict=True))


def change(event: Event) -> Change:
    return Change("a", str(event), "x", "y", "mlp", 0.0, 568, "controller", "no gain in [/5] ticks")


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("announce", [True, False])
def test_births_and_ends_are_announced_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, event: Event, announce: bool
) -> None:
    run = made(tmp_path, *VECTORS)
    bar = GrowthBar(announce=announce)
    bar.on_change(run.trainer, run.module, 7, change(event))
    worth = event in {Event.GERMINATE, Event.FOSSILIZE, Event.PRUNE}
    line = f"tick   7  a: {event} mlp (568 parameters)  no gain in [/5] ticks\n"
    assert capsys.readouterr().out == (line if worth and announce else "")


@pytest.mark.parametrize("stage", Stage)
def test_the_bar_shows_the_stage_of_every_slot(tmp_path: Path, stage: Stage) -> None:
    run = made(tmp_path, *VECTORS, "ramp=linear", "ramp.ticks=2", "ramp.target=0.7")
    ways: dict[Stage, list[Event]] = {Stage.DORMANT: []}
    for start, moves in NEXT.items():
        for event, end in moves.items():
            ways.setdefault(end, [*ways[start], event])
    for event in ways[stage]:
        perform(run.module, Decision("layers.1", event, "because", blueprint="mlp"))
    run.trainer.strategy.connect(run.module)
    shown = GrowthBar().get_metrics(run.trainer, run.module)
    assert shown == {"slots": f"· {MARKS[stage]}"}


def test_a_run_with_the_bar_says_what_happens(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bar = "callbacks.progress={_target_: kasmina.callbacks.progress.GrowthBar}"
    shown = (bar, "trainer.enable_progress_bar=true", "trainer.max_epochs=2")
    fit(tmp_path, *VECTORS, *timeline("1 layers.0 germinate mlp"), *shown)
    out = capsys.readouterr().out
    assert "tick   1  layers.0: germinate mlp (568 parameters)" in out
    assert "slots: g ·" in out
