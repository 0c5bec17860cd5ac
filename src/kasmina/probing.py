"""``kasmina probe``: where a saved network should grow, as a table, a file and a picture."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track
from torch import Tensor

from kasmina import checkpoints, hydra_api, probed
from kasmina.data.base import DataModule
from kasmina.evaluate import checkpoint_of, run_config
from kasmina.flops import few, step_cost
from kasmina.lit import GrowingModule
from kasmina.probe import Criterion, Probe
from kasmina.rebuild import config_of, restore
from kasmina.recipe import build
from kasmina.stage import Stage
from kasmina.usage import Parser, one_of

GROUP = "criterion"

_PIPE_WIDTH = 160  # characters, where no terminal says how wide it is


def parser() -> Parser:
    """Arguments of the command."""
    names = hydra_api.options(GROUP)
    found = Parser(
        prog="kasmina probe",
        description="Score every empty slot and blueprint of a saved network from one forward and\n"
        "backward a batch of its training data. Nothing is trained, and nothing is charged.",
        epilog="examples:\n  kasmina probe ckpt=runs/default/2026-01-01_12-00-00-000000\n"
        "  kasmina probe ckpt=last.ckpt --batches 16 --criterion gradmax --out probed",
    )
    found.add_argument(
        "run", metavar="ckpt=FILE|RUN", help="a checkpoint, or a run's folder (its best one)"
    )
    found.add_argument("--batches", type=int, default=8, help="of training data (default: 8)")
    found.add_argument(
        "--micro-batches", type=int, default=4, help="parts of a batch, for errors (default: 4)"
    )
    found.add_argument(
        "--criterion",
        metavar="NAME",
        default="dual",
        type=one_of(GROUP, names),
        help=f"{', '.join(names)} (default: dual, by the run's optimizer)",
    )
    found.add_argument(
        "--out", type=Path, help="folder of probe.csv and probe.png (default: the run's)"
    )
    return found


def answer(known: Namespace) -> None:
    """Probe, show the tables, and write the files.

    Raises:
        ValueError: nothing to probe at this path, no empty slot, or too few samples for an error.
    """
    for flag in ("batches", "micro_batches"):
        if getattr(known, flag) < 1:
            came = getattr(known, flag)
            raise ValueError(f"--{flag.replace('_', '-')}: at least 1; {came} came")
    path = checkpoint_of(Path(known.run.removeprefix("ckpt=")))
    module, data, config = rebuilt(path)
    if not probe_places(module):
        raise ValueError(f"{path} has no empty slot that a blueprint of its config fits")
    batches = list(training_batches(module, data, known.batches))
    console = Console()
    console.width = console.width if console.is_terminal else _PIPE_WIDTH
    shown = track(batches, "probing", console=Console(stderr=True), transient=True)
    criterion = criterion_of(known.criterion, config)
    found = module.probe(shown, criterion=criterion, micro_batches=known.micro_batches)
    console.print(probed.ranked(found.scores), "", probed.slots(found.pooled), "")
    console.print(_bill(module, found, batches), highlight=False)
    folder = known.out or _beside(path)
    for written in _write(folder, found, known.criterion):
        print(written)


def rebuilt(path: Path) -> tuple[GrowingModule, DataModule, dict[str, Any]]:
    """The network of a checkpoint in training mode, its data, and its config.

    Raises:
        ValueError: see ``kasmina.evaluate.evaluate``; or the data is not there.
    """
    saved = checkpoints.read(path)
    config = config_of(saved) or run_config(path.parent.parent)
    config = {**config, "compile": {**config["compile"], "mode": "off"}}  # one pass pays for none
    data: DataModule = build(config["data"])
    try:
        data.setup("fit")
    except OSError as error:
        raise ValueError(str(error)) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return restore(saved, config, data).to(device).train(), data, config


def criterion_of(name: str, config: Mapping[str, Any]) -> Criterion:
    """An option of the group, with what it reads from a run's config."""
    with hydra_api.composer():
        option = hydra_api.compose([f"+{GROUP}@asked={name}"]).asked
    made: Any = OmegaConf.to_container(
        OmegaConf.merge(dict(config), {"asked": option}).asked, resolve=True
    )
    found: Criterion = build(made)
    return found


def probe_places(module: GrowingModule) -> int:
    """Empty slots times blueprints that fit."""
    kinds = [recipe.locate().kinds for recipe in module.growth.blueprints.values()]
    return sum(slot.site.kind in fit for slot in module.model.at(Stage.DORMANT) for fit in kinds)


def training_batches(
    module: GrowingModule, data: DataModule, most: int
) -> Iterator[tuple[Any, Tensor]]:
    """The first ``most`` training batches of an epoch, as a training step gets them."""
    weight = next(p for p in module.parameters() if p.is_floating_point())
    for _, batch in zip(range(most), data.train_dataloader(), strict=False):
        inputs, targets = data.normalise((batch[0].to(weight.device), batch[1].to(weight.device)))
        yield (inputs.to(weight.dtype) if inputs.is_floating_point() else inputs), targets


def _bill(module: GrowingModule, found: Probe, batches: list[tuple[Any, Tensor]]) -> str:
    """What the probe has cost, against training steps of the same batches."""
    if not found.samples:
        return "by lot: nothing was measured"
    inputs, targets = few(module.lay_out(batches[0]))
    cost = step_cost(
        module.model, module.incubation, inputs, lambda out: module.task.loss(out, targets)
    )
    a_step = (cost.main + cost.incubation) * len(batches[0][1])
    return (
        f"{found.flops:.3g} FLOPs over {found.samples} samples: "
        f"{found.flops / a_step:.2f} training steps of {len(batches[0][1])} samples, for "
        f"{len(found.scores)} candidates"
    )


def _beside(path: Path) -> Path:
    """The run's folder, where the checkpoint still lies in one."""
    run = path.parent.parent
    return run if (run / "config.yaml").is_file() else path.parent


def _write(folder: Path, found: Probe, criterion: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    table, figure = folder / "probe.csv", folder / "probe.png"
    probed.write_csv(table, found.scores)
    probed.picture(found.scores, criterion=criterion).savefig(figure)
    return [table, figure]
