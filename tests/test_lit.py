"""Training through the whole Trainer: laws of seeds, measures, checkpoints."""

import math
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from runs import IMAGES, TOKENS, VECTORS, checkpoint, fit, made, moves, rows, same, timeline
from torch import Tensor

from kasmina.assembly import Run
from kasmina.callbacks.base import GrowthCallback
from kasmina.control.observation import Decision
from kasmina.lit import GrowingModule
from kasmina.optim import group_names
from kasmina.stage import Event
from kasmina.surgery import perform

LIVES = {"layers": "mlp", "stages": "conv_light", "blocks": "lora"}
MODES = ["shadow", "ste", "ste_ridge"]
CLIPPED = "trainer.gradient_clip_val=0.05"
NETWORKS = [
    pytest.param("layers", (*VECTORS, "optimizer=sgd"), id="perceptron"),
    pytest.param("stages", (*IMAGES, CLIPPED), id="batch statistics, clipping"),
    pytest.param(
        "blocks",
        (*TOKENS, "host.dropout=0.2", CLIPPED, "trainer.accumulate_grad_batches=3"),
        id="dropout, clipping, accumulation",
    ),
    pytest.param(
        "layers",
        (*VECTORS, "trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"),
        id="clipping by value",
    ),
]


Alone = Callable[[tuple[str, ...]], tuple[Run, Path]]


def host_of(run: Run) -> dict[str, Any]:
    """All of the host: weights, buffers, the optimizer's state of its parameters."""
    module, (optimizer,) = run.module, run.trainer.optimizers
    state = [optimizer.state[p] for p in module.model.host.parameters()]
    return {"weights": dict(module.model.host.state_dict()), "state": state}


def seeded(kind: str, *, ends: bool = False) -> list[str]:
    """A timeline in which both slots have a seed in training from tick 1 on, the second to 3."""
    first, second = f"{kind}.0", f"{kind}.1"
    born = [
        text
        for site in (first, second)
        for text in (f"1 {site} germinate {LIVES[kind]}", f"1 {site} train")
    ]
    ended = [f"3 {second} prune", f"4 {first} prune"] if ends else []
    return [*timeline(*born, *ended), "controller.pace=null"]


def trained(folder: Path, *overrides: str, callbacks: tuple[Any, ...] = ()) -> Run:
    return fit(folder, *overrides, "trainer.max_epochs=5", callbacks=callbacks)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Trains the host of ``options`` without seeds, once: what it became, and its folder."""

    @cache
    def once(options: tuple[str, ...]) -> tuple[Run, Path]:
        folder = tmp_path_factory.mktemp("alone")
        return trained(folder, *options, "controller=none"), folder

    return once


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_a_training_seed_leaves_the_training_of_the_host_bitwise_alone(
    tmp_path: Path, alone: Alone, kind: str, options: tuple[str, ...], mode: str
) -> None:
    grown = trained(tmp_path, *options, *seeded(kind), f"incubation={mode}")
    host, folder = alone(options)
    assert all(slot.stage == "training" for slot in grown.module.model)
    assert same(host_of(grown), host_of(host))
    columns = [key for key in rows(folder)[0] if "/" in key]
    for left, right in zip(rows(tmp_path), rows(folder), strict=True):
        assert [left[key] for key in columns] == [right[key] for key in columns]


class Bursts(GrowthCallback):
    """Makes the seeds' weights huge, and in the end infinite."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GrowingModule)
        for slot in pl_module.model.at("training"):  # type: ignore[arg-type]
            for parameter in slot.parameters():
                parameter.data.fill_(1e30 if trainer.current_epoch < 2 else math.inf)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_a_seed_that_explodes_does_not_reach_the_host(
    tmp_path: Path, alone: Alone, kind: str, options: tuple[str, ...], mode: str
) -> None:
    burst = (*options, *seeded(kind), f"incubation={mode}", "callbacks.pruning=null")
    grown = trained(tmp_path, *burst, callbacks=(Bursts(),))
    assert not all(p.isfinite().all() for p in grown.module.parameters())
    assert same(host_of(grown), host_of(alone(options)[0]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "options"), NETWORKS)
def test_a_seed_that_never_spoke_is_pruned_without_a_trace(
    tmp_path: Path, alone: Alone, kind: str, options: tuple[str, ...], mode: str
) -> None:
    grown = trained(tmp_path, *options, *seeded(kind, ends=True), f"incubation={mode}")
    host, folder = alone(options)
    assert [event for _, _, event in moves(tmp_path)].count("prune") == 2
    assert same(host_of(grown), host_of(host))
    names = [[name for name, _ in run.module.named_parameters()] for run in (grown, host)]
    assert names[0] == names[1]
    saved = [checkpoint(path / "checkpoints" / "last.ckpt") for path in (tmp_path, folder)]
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "param_groups", "measured"):
        assert same(saved[0][key], saved[1][key]), key


def test_a_blending_seed_does_reach_the_host(tmp_path: Path) -> None:
    blend = timeline("1 layers.0 germinate mlp", "1 layers.0 train", "2 layers.0 blend")
    grown = trained(tmp_path / "grown", *VECTORS, *blend, "controller.pace=null")
    alone = trained(tmp_path / "alone", *VECTORS, "controller=none")
    assert not same(host_of(grown), host_of(alone))


def test_a_seed_learns_while_it_trains(tmp_path: Path) -> None:
    quick = (
        "growth.seed_lr=0.03",
        "trainer.max_epochs=30",
        "data.train_size=16",
        "incubation.interval=1",
    )
    fit(tmp_path, *VECTORS, *seeded("layers"), *quick)
    losses = [float(r["seed_loss"]) for r in rows(tmp_path, "timeline.csv") if r["seed_loss"]]
    host = [float(r["train/loss"]) for r in rows(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < host[-1]


@pytest.mark.parametrize("algorithm", ["norm", "value", None])
def test_each_group_is_clipped_by_itself(tmp_path: Path, algorithm: str | None) -> None:
    run = made(tmp_path, *VECTORS)
    module = run.module
    for event in (Event.GERMINATE, Event.TRAIN):
        perform(module, Decision("layers.0", event, "to have one", blueprint="mlp"))
    run.trainer.strategy.connect(module)
    module.trainer = run.trainer
    groups = [
        list(module.model.host.parameters()),
        list(module.model.slot("layers.0").parameters()),
    ]
    optimizer = torch.optim.SGD([{"params": params} for params in groups], lr=1.0)
    for params, size in zip(groups, (1.0, 1e6), strict=True):
        for parameter in params:
            parameter.grad = torch.full_like(parameter, size)
    module.configure_gradient_clipping(optimizer, 0.5, algorithm)
    for params in groups:
        gradients = torch.cat([p.grad.flatten() for p in params if p.grad is not None])
        clipped = gradients.abs().max() if algorithm == "value" else gradients.norm()
        torch.testing.assert_close(clipped, torch.tensor(0.5), rtol=1e-4, atol=0)


# --- what is measured of a seed ---


def score(module: GrowingModule, run: Run, alphas: dict[str, float] | None = None) -> float:
    """The monitored metric on the validation split, by hand."""
    metric = module.task.score()
    module.eval()
    with torch.no_grad():
        for inputs, targets in run.data.val_dataloader():
            metric.update(
                module.model(run.data.normalise((inputs, targets))[0], alphas=alphas), targets
            )
    return float(metric.compute())


@pytest.mark.parametrize(("monitor", "mode"), [("accuracy", "max"), ("loss", "min")])
def test_a_contribution_is_the_metric_with_the_seed_minus_without_and_positive_when_it_helps(
    tmp_path: Path, monitor: str, mode: str
) -> None:
    watched = (f"task.monitor={monitor}", f"task.mode={mode}")
    run = made(tmp_path, *VECTORS, *watched, "ramp.ticks=3", "data.val_size=500")
    module = run.module
    ways = {"layers.0": ["germinate", "train"], "layers.1": ["germinate", "train", "blend"]}
    for site, way in ways.items():
        for event in map(Event, way):
            perform(module, Decision(site, event, "to have one", blueprint="mlp"))
        for parameter in module.model.slot(site).parameters():
            torch.nn.init.normal_(parameter, std=1.0, generator=torch.Generator().manual_seed(1))
    run.trainer.validate(module, run.data, verbose=False)
    sign = 1 if mode == "max" else -1
    here = score(module, run)
    with_first = score(module, run, {"layers.0": 1.0})
    without_second = score(module, run, {"layers.1": 0.0})
    assert len({here, with_first, without_second}) == 3
    assert module.contributions == {
        "layers.0": sign * (with_first - here),
        "layers.1": sign * (here - without_second),
    }


def test_looking_at_other_networks_changes_nothing(tmp_path: Path) -> None:
    run = made(tmp_path, *IMAGES)
    for event in (Event.GERMINATE, Event.TRAIN):
        perform(run.module, Decision("stages.0", event, "to have one", blueprint="conv_light"))
    before = {name: tensor.clone() for name, tensor in run.module.state_dict().items()}
    run.trainer.validate(run.module, run.data, verbose=False)
    assert same(dict(run.module.state_dict()), before)


# --- checkpoints ---


def plain(value: Any) -> bool:
    """Whether this is made of tensors and of what JSON has."""
    if isinstance(value, dict):
        return type(value).__name__ in {"dict", "OrderedDict"} and all(
            type(key) in {str, int} and plain(item) for key, item in value.items()
        )
    if type(value) in {list, tuple}:
        return all(map(plain, value))
    return type(value) in {Tensor, str, int, float, bool, type(None)}


def test_checkpoints_hold_plain_types_and_the_topology(tmp_path: Path) -> None:
    run = trained(tmp_path, *VECTORS, *seeded("layers"))
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        saved = checkpoint(path)
        assert plain({key: value for key, value in saved.items() if key != "state_dict"})
        assert plain(dict(saved["state_dict"]))
    assert saved["topology"]["slots"].keys() == {"layers.0", "layers.1"}
    assert saved["param_groups"] == group_names(run.trainer.optimizers[0])
    assert saved["param_groups"] == ["host", "layers.0", "layers.1"]


# --- options of Lightning's ---

GROWS = (
    "pace.incubate=1",
    "pace.hold=1",
    "pace.tail=0",
    "pace.keep_minimum=null",
    "ramp.ticks=2",
    "trainer.max_epochs=6",
)
OPTIONS = [
    "trainer.precision=bf16-mixed",
    "trainer.precision=bf16-true",
    "trainer.precision=64-true",
    "trainer.overfit_batches=2",
    "trainer.val_check_interval=0.5",
    "trainer.check_val_every_n_epoch=2",
    "trainer.max_steps=22",
    "trainer.limit_train_batches=2",
    "controller.max_live=3",
    "growth.isolate=true",
    "incubation.interval=3",
    "blend=gate",
    "blend=multiply",
    "memory_format=channels_last",
    "controller=biggest",
    "controller=random",
    "timing=plateau",
    "task.monitor=loss",
]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_run_grows_with_every_option(tmp_path: Path, option: str) -> None:
    more = {"task.monitor=loss": ["task.mode=min"], "timing=plateau": ["timing.patience=1"]}
    run = fit(tmp_path, *IMAGES, *GROWS, option, *more.get(option, []))
    assert "germinate" in [event for _, _, event in moves(tmp_path)]
    assert all(p.isfinite().all() for p in run.module.parameters())


@pytest.mark.parametrize(("network", "mode"), list(product([VECTORS, TOKENS, IMAGES], MODES)))
def test_every_network_grows_in_every_incubation(
    tmp_path: Path, network: tuple[str, ...], mode: str
) -> None:
    fit(tmp_path, *network, *GROWS, f"incubation={mode}", "trainer.max_epochs=7")
    told = [event for _, _, event in moves(tmp_path)][:5]
    assert told == ["germinate", "train", "blend", "hold", "fossilize"]
