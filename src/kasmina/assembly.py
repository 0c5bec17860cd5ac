"""From a resolved config to the objects of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import nn

from kasmina.callbacks.base import the
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.record import RunRecord
from kasmina.callbacks.ticker import Ticker
from kasmina.compiling import Compile, compile_in_place
from kasmina.data.base import DataModule
from kasmina.graft import Grafted, graft
from kasmina.incubation import Incubation
from kasmina.lit import GrowingModule, Growth, Training
from kasmina.nursery import plant
from kasmina.optim import Curve, SeedOptions
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe, build
from kasmina.suggest import unknown

MEMORY_FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}

Plain = Mapping[str, Any]

_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Run:
    """What a run is made of."""

    module: GrowingModule
    data: DataModule
    trainer: L.Trainer


def assemble(config: Plain) -> Run:
    """Build data, host, slots, module, callbacks, loggers and trainer, in this order.

    The run's seed is set first, so that the same config gives the same weights.

    Raises:
        ValueError: a callback that the others rest on was taken out.
    """
    torch.set_num_threads(config["threads"] or _THREADS)
    L.seed_everything(config["seed"], workers=True, verbose=False)
    data: DataModule = build(config["data"])
    module = make_module(config, data)
    callbacks = [build(callback) for callback in config["callbacks"].values() if callback]
    loggers = [build(logger) for logger in config["logger"].values() if logger]
    # or what Lightning saves for SLURM would be taken up by the next run in this directory
    root = {"default_root_dir": config["paths"]["run_dir"]} | config["trainer"]
    trainer = build(root, callbacks=callbacks, logger=loggers or False)
    for needed in (Ticker, Ledger, RunRecord):
        the(trainer, needed)
    return Run(module, data, trainer)


def make_module(config: Plain, data: DataModule) -> GrowingModule:
    """The LightningModule around a grafted host."""
    growth = make_growth(config)
    incubation: Incubation = build(config["incubation"])
    model = make_model(config, data, listens=incubation.listens)
    plant(model, _planted(config, growth), operator=growth.operator, run_seed=growth.run_seed)
    compile_in_place(model, Compile(**config["compile"]))
    training = Training(
        optimizer=Recipe.of("optimizer", config["optimizer"]),
        curve=build(config["scheduler"]),
        memory_format=MEMORY_FORMATS[config["memory_format"]["name"]],
        augment=data.augment,
    )
    assert isinstance(training.curve, Curve), "scheduler describes a kasmina.optim.Curve"
    return GrowingModule(
        model,
        task=build(config["task"]),
        incubation=incubation,
        growth=growth,
        training=training,
    )


def make_model(config: Plain, data: DataModule, *, listens: bool = False) -> Grafted:
    """The host in its memory format, with empty slots."""
    host: nn.Module = build(config["host"])
    host = host.to(memory_format=MEMORY_FORMATS[config["memory_format"]["name"]])  # type: ignore[call-overload]
    return graft(
        host,
        config["slots"]["sites"],
        data.example()[0],
        listens=listens,
        isolate=config["growth"]["isolate"],
    )


def make_growth(config: Plain) -> Growth:
    """What seeds are made from."""
    options = config["growth"]
    return Growth(
        blueprints={n: Recipe.of(n, recipe) for n, recipe in config["blueprint"].items()},
        operator=Recipe.of("blend", config["blend"]),
        ramp=Ramp(**config["ramp"]),
        seeds=SeedOptions(options["seed_lr"], options["seed_weight_decay"]),
        run_seed=config["seed"],
    )


def _planted(config: Plain, growth: Growth) -> dict[str, Recipe]:
    planted = config["slots"].get("planted") or {}
    for name in planted.values():
        if name not in growth.blueprints:
            raise ValueError(unknown("blueprint in slots.planted", name, growth.blueprints))
    return {site: growth.blueprints[name] for site, name in planted.items()}
