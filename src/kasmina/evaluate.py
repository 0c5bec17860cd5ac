"""Evaluate a checkpoint in a fresh process: the record says how its network is rebuilt."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf

from kasmina.assembly import make_module
from kasmina.data.base import DataModule
from kasmina.lit import GrowingModule
from kasmina.recipe import build
from kasmina.suggest import unknown

SPLITS = ("validation", "test")


def evaluate(path: Path, split: str = "validation") -> dict[str, float]:
    """Metrics of a saved network.

    Args:
        path: a run's folder (its best checkpoint is taken, its last where there is no best), or
            a checkpoint inside one.
        split: ``validation`` or ``test``.

    Raises:
        ValueError: an unknown split, or no run or checkpoint at ``path``.
    """
    if split not in SPLITS:
        raise ValueError(unknown("split", split, SPLITS))
    checkpoint = _checkpoint(path)
    config = run_config(checkpoint.parent.parent)
    data: DataModule = build(config["data"])
    module = restore_module(config, data, checkpoint)
    trainer = L.Trainer(
        accelerator=config["trainer"]["accelerator"],
        devices=1,
        precision=config["trainer"]["precision"],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    ask = trainer.test if split == "test" else trainer.validate
    (metrics,) = ask(module, data, verbose=False)
    return {name: float(value) for name, value in metrics.items()}


def restore_module(config: dict[str, Any], data: DataModule, checkpoint: Path) -> GrowingModule:
    """The module of a checkpoint: its slots rebuilt first, then its weights loaded strictly."""
    module = make_module({**config, "slots": {**config["slots"], "planted": None}}, data)
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])
    return module


def run_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run.

    Raises:
        ValueError: ``folder`` has none.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: it has no config.yaml")
    loaded: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return loaded


def _checkpoint(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("best.ckpt", "last.ckpt"):
        candidate = path / "checkpoints" / name
        if candidate.is_file():
            return candidate
    raise ValueError(f"no checkpoint: {path} is no file, and holds no checkpoints/best.ckpt")
