"""Who is asked what and when, and what becomes of the answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from runs import FAST, VECTORS, checkpoint, fit, made, moves, rows

from kasmina.callbacks.base import GrowthCallback, the
from kasmina.callbacks.lifecycle import Lifecycle, check_plan
from kasmina.control import Decision, Observation
from kasmina.lit import GrowingModule
from kasmina.rollback import whole
from kasmina.stage import Event, IllegalMove
from kasmina.topology import topology

SHORT = ("trainer.max_epochs=5",)
GERMINATE = Decision("layers.0", Event.GERMINATE, "because", blueprint="mlp")
TRAIN = Decision("layers.0", Event.TRAIN, "because")


class Written:
    """Answers with the same plan at one tick, and keeps what it saw."""

    def __init__(self, plan: list[Decision] = [], at: int = 1) -> None:  # noqa: B006
        self.plan, self.at = plan, at
        self.seen: list[Observation] = []

    def decide(self, seen: Observation) -> list[Decision]:
        self.seen.append(seen)
        return self.plan if seen.tick == self.at else []


def asked(folder: Path, controller: Written, *overrides: str, **more: Any) -> Any:
    """A run in which ``controller`` decides."""
    run = made(folder, *VECTORS, *SHORT, *overrides)
    the(run.trainer, Lifecycle).controller = controller
    run.trainer.callbacks.extend(more.get("callbacks", ()))  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.data)
    return run


@pytest.mark.parametrize("site", ["layers.0", "layers.1"])
@pytest.mark.parametrize("event", Event)
def test_a_plan_with_an_illegal_move_changes_nothing(
    tmp_path: Path, site: str, event: Event
) -> None:
    wrong = Decision(site, event, "because", blueprint="mlp")
    plan = [GERMINATE, TRAIN, wrong]
    legal = {"layers.0": {Event.BLEND, Event.PRUNE}, "layers.1": {Event.GERMINATE}}
    if event in legal[site]:
        asked(tmp_path, Written(plan), "trainer.max_epochs=2")
        assert len(moves(tmp_path)) == 3
        return
    with pytest.raises(IllegalMove, match=f"cannot {event} while"):
        asked(tmp_path, Written(plan))
    assert moves(tmp_path) == []


@pytest.mark.parametrize("event", Event)
def test_once_the_run_was_put_back_moves_that_do_not_fit_are_left_out(
    tmp_path: Path, event: Event
) -> None:
    run = made(tmp_path, *VECTORS, *SHORT)
    lifecycle = the(run.trainer, Lifecycle)
    wrong = Decision("layers.0", event, "because", blueprint="mlp")
    lifecycle.controller = Written([GERMINATE, TRAIN, wrong])
    lifecycle.pending = [TRAIN]
    lifecycle.on_change(run.trainer, run.module, 0, whole("the test wants it", {}))
    assert lifecycle.pending == []
    run.trainer.fit(run.module, run.data)
    third = [event] if event in {Event.BLEND, Event.PRUNE} else []
    told = [what for tick, _, what in moves(tmp_path) if tick == 1]
    assert told == [Event.GERMINATE, Event.TRAIN, *third]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(GERMINATE, site="layer.0"), r"unknown slot 'layer\.0'; did you mean 'layers\.0'"),
        (replace(GERMINATE, blueprint="mlpp"), r"unknown blueprint for slot 'layers\.0' 'mlpp'"),
        (replace(GERMINATE, blueprint=None), r"unknown blueprint for slot 'layers\.0' 'None'"),
    ],
)
def test_a_plan_for_what_does_not_exist_changes_nothing(
    tmp_path: Path, wrong: Decision, message: str
) -> None:
    other = Decision("layers.1", Event.GERMINATE, "because", blueprint="mlp")
    with pytest.raises(ValueError, match=message):
        asked(tmp_path, Written([other, wrong]))
    assert moves(tmp_path) == []


def test_the_controller_sees_the_run_as_it_is(tmp_path: Path) -> None:
    controller = Written([GERMINATE, TRAIN])
    asked(tmp_path, controller)
    assert [seen.tick for seen in controller.seen] == [1, 2, 3, 4, 5]
    assert [seen.epoch for seen in controller.seen] == [0, 1, 2, 3, 4]
    assert [seen.step for seen in controller.seen] == [4, 8, 12, 16, 20]
    assert {seen.ticks for seen in controller.seen} == {4}
    first, last = controller.seen[0].slot("layers.0"), controller.seen[-1].slot("layers.0")
    assert (first.stage, first.blueprint, first.parameters) == ("dormant", None, 0)
    assert (last.stage, last.age, last.births, last.blueprint) == ("training", 4, 1, "mlp")
    assert last.parameters == first.sizes["mlp"] == 568
    assert (last.kind, last.width) == ("vector", 8)
    table = rows(tmp_path, "timeline.csv")[-2]
    assert [last.contribution, last.seed_loss] == [
        float(table[key]) for key in ("contribution", "seed_loss")
    ]
    assert controller.seen[-1].slot("layers.1").seed_loss is None
    metrics = rows(tmp_path)
    for seen, row in zip(controller.seen, metrics, strict=True):
        for name in ("train/loss", "val/loss", "val/accuracy"):
            assert seen.metrics[name] == float(row[name])
    assert list(controller.seen[-1].history) == [float(row["val/accuracy"]) for row in metrics]


def test_where_less_is_better_the_history_is_turned_round(tmp_path: Path) -> None:
    controller = Written()
    asked(tmp_path, controller, "task.monitor=loss", "task.mode=min")
    losses = [float(row["val/loss"]) for row in rows(tmp_path)]
    assert list(controller.seen[-1].history) == [-loss for loss in losses]


class LooksForTest(GrowthCallback):
    """Tries to get at the test split whenever something is decided or changed."""

    def __init__(self) -> None:
        self.looks = 0

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        self._look(trainer)

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        self._look(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        with pytest.raises(LookupError, match="the test split is not loaded"):
            trainer.datamodule.dataset("test")  # type: ignore[attr-defined]
        self.looks += 1


def test_no_decision_can_see_test_data(tmp_path: Path) -> None:
    controller, looker = Written([GERMINATE, TRAIN]), LooksForTest()
    asked(tmp_path, controller, callbacks=(looker,))
    assert looker.looks == 5 + 4 + 1
    assert not [key for seen in controller.seen for key in seen.metrics if "test" in key]


def test_a_plan_waits_in_the_checkpoint_as_plain_values(tmp_path: Path) -> None:
    plan = [replace(GERMINATE, numbers={"gain": 0.5}), TRAIN]
    run = asked(tmp_path, Written(plan, at=5))
    waiting = the(run.trainer, Lifecycle)
    assert waiting.pending == plan
    assert moves(tmp_path) == []
    states = checkpoint(tmp_path / "checkpoints" / "last.ckpt")["callbacks"]
    again = Lifecycle(Written())
    again.load_state_dict(json.loads(json.dumps(states["Lifecycle"])))
    assert again.pending == plan
    assert again.history == waiting.history
    assert again.metrics == waiting.metrics


def test_a_legal_plan_passes_the_check(tmp_path: Path) -> None:
    controller = Written()
    asked(tmp_path, controller, "trainer.max_epochs=1")
    check_plan([GERMINATE, TRAIN], controller.seen[0])


@pytest.mark.parametrize("rhythm", [[], ["trainer.val_check_interval=0.5"]], ids=str)
@pytest.mark.parametrize("monitor", ["accuracy", "loss"])
def test_the_best_checkpoint_holds_the_network_that_was_scored(
    tmp_path: Path, monitor: str, rhythm: list[str]
) -> None:
    modes = {"accuracy": "max", "loss": "min"}
    watched = (f"task.monitor={monitor}", f"task.mode={modes[monitor]}", *rhythm)
    options = (*VECTORS, *FAST, *watched, "trainer.max_epochs=8", "pace.keep_minimum=null")
    run = fit(tmp_path, *options)
    best = tmp_path / "checkpoints" / "best.ckpt"
    scored = max(rows(tmp_path), key=lambda r: run.module.task.sign * float(r[f"val/{monitor}"]))
    fresh = made(tmp_path / "fresh", *options)
    module = fresh.module
    saved = checkpoint(best)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])
    (values,) = fresh.trainer.validate(module, fresh.data, verbose=False)
    assert values[f"val/{monitor}"] == float(scored[f"val/{monitor}"])
    assert saved["global_step"] == int(scored["step"])
    told = {s: d["stage"] for s, d in topology(module.model)["slots"].items()}
    table = rows(tmp_path, "timeline.csv")
    assert told == {r["site"]: r["stage"] for r in table if r["step"] == scored["step"]}
