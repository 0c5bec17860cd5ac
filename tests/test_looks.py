"""What a statistical gate is shown, what it costs, and that useless seeds do not pass it."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer
from runs import FAST, IMAGES, TOKENS, VECTORS, checkpoint, events, fit, made, run, same, timeline
from test_resume import KEEPS, assert_same_run, interrupted
from torch.nn import CrossEntropyLoss
from torchmetrics.classification import MulticlassF1Score

from kasmina.callbacks.base import GrowthCallback, the
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.looks import GateLooks
from kasmina.control.evidence import Evidence, mid_p
from kasmina.flops import few, step_cost
from kasmina.graft import call
from kasmina.lit import GrowingModule
from kasmina.stage import Stage
from kasmina.tasks import Task, predictions

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")

GATED = ("pace=statistical", "data.gate_size=17", "callbacks.governor=null")


class Reader(GrowthCallback):
    """Keeps every evidence that waits for a tick, and repeats the look by hand."""

    def __init__(self) -> None:
        self.read: list[tuple[int, str, Evidence, list[int]]] = []
        self.price = 0.0

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        trains = module.training
        for site, evidence in module.evidence.items():
            data = trainer.datamodule  # type: ignore[attr-defined]
            part = data.dataset(evidence.split)
            inputs, targets = part[torch.arange(len(part))]
            silent = module.model.slot(site).stage is Stage.TRAINING
            module.eval()
            with torch.no_grad():
                here = predictions(call(module.model, inputs)).argmax(1) == targets
                other = call(module.model, inputs, alphas={site: 1.0 if silent else 0.0})
            module.train(trains)
            there = predictions(other).argmax(1) == targets
            on, off = (there, here) if silent else (here, there)
            self.read.append(
                (tick, site, evidence, [int((on & ~off).sum()), int((off & ~on).sum())])
            )
            few_inputs, few_targets = few(inputs), targets[:2]
            cost = step_cost(
                module.model,
                module.incubation,
                few_inputs,
                lambda out, few_targets=few_targets: module.task.loss(out, few_targets),
            )
            self.price += len(targets) * (cost.evaluation + cost.looks[site])


def life(kind: str, blueprint: str) -> list[str]:
    """One seed that a timeline leads, whatever is found out about it."""
    site = f"{kind}.0"
    born = [f"1 {site} germinate {blueprint}", f"1 {site} train", f"3 {site} blend"]
    return [*timeline(*born, f"6 {site} prune"), "ramp.ticks=1", "trainer.max_epochs=7"]


IN_PASSING = ("controller.pace=${pace}", "pace.incubate=1", "pace.hold=1", "pace.looks=50")
"""The pace asks and finds nothing worth a move."""
HOSTS = {
    "perceptron": (*VECTORS, *life("layers", "mlp")),
    "convolutions": (*IMAGES, *life("stages", "conv_light")),
}


@pytest.mark.parametrize(
    ("host", "ticks"),
    [("perceptron", ()), ("convolutions", ("callbacks.ticker.every_n_steps=4",))],
)
def test_a_look_counts_what_each_network_alone_gets_right_and_changes_nothing_but_the_bill(
    tmp_path: Path, host: str, ticks: tuple[str, ...]
) -> None:
    both = (*HOSTS[host], *GATED, *ticks, "pace.worthwhile=-1.0", "pace.alpha=1e-12")
    reader = Reader()
    blind = fit(tmp_path / "blind", *both, "controller.pace=null")
    looked = fit(tmp_path / "seen", *both, *IN_PASSING, callbacks=(reader,))
    assert [tick for tick, *_ in reader.read][:2] == [2, 3]
    for _, _, evidence, (gained, lost) in reader.read:
        assert (evidence.split, evidence.n, evidence.seed) == ("gate", 17, 1)
        assert evidence.effect == (gained - lost) / 17
        assert evidence.p == mid_p(gained, lost)
    assert same(dict(looked.module.state_dict()), dict(blind.module.state_dict()))
    assert [e["event"] for e in events(tmp_path / "seen")] == [
        e["event"] for e in events(tmp_path / "blind")
    ]
    bills = [the(each.trainer, Ledger).report() for each in (looked, blind)]
    more = [bill["flops"]["evaluation"] for bill in bills]
    assert more[0] - more[1] == pytest.approx(reader.price, rel=1e-12)
    assert bills[0]["seeds"][0]["flops"] > bills[1]["seeds"][0]["flops"]
    assert bills[0]["flops"]["host"] == bills[1]["flops"]["host"]


def test_without_a_gate_split_the_validation_split_is_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader()
    options = (*HOSTS["perceptron"], *GATED, "data.gate_size=0", *IN_PASSING)
    fit(tmp_path, *options, callbacks=(reader,))
    assert {(evidence.split, evidence.n) for _, _, evidence, _ in reader.read} == {("val", 32)}
    assert "data.gate_size is 0: seeds are tested on the validation split" in caplog.text


def test_a_pace_that_asks_for_nothing_costs_nothing(tmp_path: Path) -> None:
    reader = Reader()
    fit(tmp_path, *VECTORS, *FAST, "trainer.max_epochs=5", callbacks=(reader,))
    assert reader.read == []


def test_losses_are_compared_sequence_by_sequence(tmp_path: Path) -> None:
    fit(tmp_path, *TOKENS, *GATED, *FAST, "trainer.max_epochs=7", "pace.resamples=100")
    tested = [e for e in events(tmp_path) if "p" in e["numbers"]]
    assert tested
    assert tested[0]["reason"].startswith("paired sign-flip test on 17 gate samples: effect ")


def test_a_metric_that_cannot_be_compared_is_refused_before_training(tmp_path: Path) -> None:
    run = made(tmp_path, *VECTORS, *GATED)
    f1 = {"f1": MulticlassF1Score(4)}
    run.module.task = Task(loss=CrossEntropyLoss(), metrics=f1, monitor="f1", mode="max")
    with pytest.raises(ValueError, match=r"task\.monitor 'f1' cannot be compared sample"):
        run.trainer.fit(run.module, run.data)
    assert run.trainer.global_step == 0


def test_what_was_spent_goes_into_the_checkpoint_in_its_order() -> None:
    looks, again = GateLooks(), GateLooks()
    looks.looks = {"layers.0 1": {"training": 3}, "layers.1 1": {"training": 1, "holding": 2}}
    again.load_state_dict(looks.state_dict())
    assert again.looks == looks.looks
    assert list(again.looks) == list(looks.looks)


USELESS = (
    *VECTORS,
    *GATED,
    *FAST,
    "blueprint=[]",
    "data.train_size=464",
    "data.gate_size=400",
    "timing.every=1",
    "timing.start=6",
    "optimizer.lr=0.02",  # where the host knows little, a random change may really help it
    "callbacks.pruning.cooldown=1",
    "controller.max_live=2",
    "trainer.max_epochs=24",
    "callbacks.best=null",
    "callbacks.last=null",
)


@pytest.mark.parametrize("fresh", ["false", "true"])
def test_no_useless_seed_of_a_run_is_kept(tmp_path: Path, fresh: str) -> None:
    fit(tmp_path, *USELESS, f"+blueprint.useless={{_target_: toys.Useless, fresh: {fresh}}}")
    told = events(tmp_path)
    tested = {e["numbers"]["seed"] for e in told if "seed" in e["numbers"]}
    assert tested >= set(range(1, 6))
    assert not [e for e in told if e["event"] in {"blend", "fossilize"}]


def test_the_difference_alone_keeps_a_useless_seed_that_the_host_leans_on(tmp_path: Path) -> None:
    plain = [text for text in USELESS if text != "pace=statistical"]
    fit(tmp_path, *plain, "+blueprint.useless={_target_: toys.Useless}")
    assert "fossilize" in {e["event"] for e in events(tmp_path)}


def test_a_run_that_is_interrupted_between_looks_goes_on_exactly(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = (*VECTORS, *GATED, *FAST, "trainer.max_epochs=10", "test=false", "seed=2")
    keep = ("+callbacks.keep._target_=test_resume.Keep", f"+callbacks.keep.folder={whole}")
    run(whole, *options, *KEEPS, *keep)
    spent = {
        path: checkpoint(path)["callbacks"]["GateLooks"]["looks"] for path in whole.glob("*.ckpt")
    }
    middle = next(p for p, seen in spent.items() if seen == {"layers.0 1": {"training": 2}})
    folder = interrupted(whole, broken, middle.stem)
    run(folder, *options, *KEEPS, f"resume={folder}")
    assert_same_run(folder, whole)
