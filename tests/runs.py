"""Small runs through the same door as the command line's, and what they leave behind."""

import csv
import json
import logging
import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf

from kasmina.assembly import Run, assemble
from kasmina.callbacks.base import GrowthCallback
from kasmina.hydra_api import compose, parse
from kasmina.lit import GrowingModule
from kasmina.surgery import Change
from kasmina.train import train

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

VECTORS = (
    "host=mlp",
    "host.widths=[8,8]",
    "slots=layers",
    "blueprint=[mlp]",
    "data=synthetic_vectors",
    "data.in_features=8",
    "data.num_classes=4",
    "data.train_size=64",
    "data.val_size=32",
    "data.test_size=32",
    "data.batch_size=16",
)
"""Four batches an epoch of a perceptron with two slots."""

TWO_LIVES = (
    "1 layers.0 germinate mlp",
    "1 layers.0 train",
    "2 layers.1 germinate mlp",
    "2 layers.1 train",
    "3 layers.0 blend",
    "4 layers.1 prune",
    "5 layers.0 fossilize",
)
"""A timeline of ``VECTORS``: a seed that is kept, and one that is pruned."""

TOKENS = (
    "host=gpt",
    "host.width=8",
    "host.num_heads=2",
    "slots=blocks",
    "task=language_modelling",
    "blueprint=[lora]",
    "data=synthetic_tokens",
    "data.vocab_size=11",
    "data.context=8",
    "data.train_size=64",
    "data.val_size=16",
    "data.test_size=16",
    "data.batch_size=16",
)
"""Four batches an epoch of a transformer with two slots."""

IMAGES = (
    "host.widths=[4,4]",
    "data=synthetic",
    "data.image_size=8",
    "data.in_channels=1",
    "data.in_features=64",
    "data.num_classes=4",
    "data.train_size=64",
    "data.val_size=32",
    "data.test_size=32",
    "data.batch_size=16",
)
"""Four batches an epoch of a convolutional network (with batch statistics) with two slots."""

QUIET = ("callbacks.progress=null", "+trainer.enable_progress_bar=false", "report=false")
FAST = ("pace.incubate=1", "pace.hold=1", "pace.tail=0", "ramp.ticks=2")
"""From germination to a decision in three ticks."""


def config(folder: Path, *overrides: str) -> DictConfig:
    """The config of a run in ``folder``, as Hydra would compose it, but the groups only once."""
    overrides = (*QUIET, *overrides)
    groups = tuple(text for text in overrides if "." not in text.partition("=")[0])
    composed = deepcopy(_compose(groups))
    for text in overrides:
        if text not in groups:
            override = parse(text)
            OmegaConf.update(
                composed,
                override.key_or_group,
                override.value(),
                merge=False,
                force_add=override.is_add(),
            )
    composed.paths.run_dir = str(folder)
    return composed


@cache
def _compose(groups: tuple[str, ...]) -> DictConfig:
    return compose(list(groups))


def run(folder: Path, *overrides: str) -> Path:
    """Train from the config to the summary; the folder."""
    train(config(folder, *overrides))
    return folder


def made(folder: Path, *overrides: str) -> Run:
    """The objects of a run that has not begun."""
    plain: Any = OmegaConf.to_container(config(folder, *overrides), resolve=True)
    return assemble(plain)


def fit(folder: Path, *overrides: str, callbacks: tuple[Callback, ...] = ()) -> Run:
    """Train alone, with callbacks of the test's own; the objects as training left them."""
    objects = made(folder, *overrides)
    objects.trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
    objects.trainer.fit(objects.module, objects.data)
    return objects


def timeline(*entries: str) -> list[str]:
    """A written timeline of entries ``at site event [blueprint or target]``."""
    return ["controller=schedule", f"controller.timeline=[{','.join(map(_entry, entries))}]"]


def _entry(text: str) -> str:
    at, site, event, *rest = text.split()
    key = "blueprint" if event == "germinate" else "target"
    more = f",{key}:{rest[0]}" if rest else ""
    return f"{{at:{at},site:{site},do:{event}{more}}}"


def events(folder: Path) -> list[dict[str, Any]]:
    """The decisions of a run."""
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def moves(folder: Path) -> list[tuple[int, str, str]]:
    """Tick, site and event of each decision."""
    return [(e["tick"], e["site"], e["event"]) for e in events(folder)]


def rows(folder: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    """The rows of a table."""
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def load(folder: Path, name: str) -> Any:
    """A JSON file."""
    return json.loads((folder / name).read_text())


def checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint, read as an untrusted one is."""
    return torch.load(path, weights_only=True)


def same(left: Any, right: Any) -> bool:
    """Equal bit for bit, in type and in structure; nan equals nan."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left.nan_to_num(), right.nan_to_num())
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or (left != left and right != right)


class Diary(GrowthCallback):
    """Notes what a run did, batch by batch."""

    def __init__(self) -> None:
        self.batches = 0
        self.ticks: list[tuple[int, int]] = []
        """Tick, and batches trained before it."""
        self.alphas: list[list[float]] = []
        """Of every slot, in every batch."""
        self.changes: list[tuple[int, str, str]] = []

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        self.ticks.append((tick, self.batches))

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        self.changes.append((tick, change.site, change.event))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GrowingModule)
        self.batches += 1
        self.alphas.append([slot.exact_alpha for slot in pl_module.model])


class Keep(Callback):
    """Keeps every ``last.ckpt`` that is written at the end of an epoch."""

    def __init__(self, folder: Path) -> None:
        self.last = folder / "checkpoints" / "last.ckpt"

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.last.is_file():
            shutil.copy(self.last, self.last.parent / f"epoch{trainer.current_epoch}.ckpt")
