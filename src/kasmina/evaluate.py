"""Evaluate a checkpoint in a fresh process: the file says how its network is rebuilt."""

from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import OmegaConf

from kasmina import checkpoints
from kasmina.data.base import DataModule
from kasmina.rebuild import config_of, restore
from kasmina.recipe import build
from kasmina.suggest import unknown

SPLITS = ("validation", "test")


def evaluate(path: Path, split: str = "validation") -> dict[str, float]:
    """Metrics of a saved network.

    Args:
        path: a run's folder (its best checkpoint is taken, its last where there is no best), or
            a checkpoint, which may lie anywhere.
        split: ``validation`` or ``test``.

    Raises:
        ValueError: an unknown split, no run or checkpoint at ``path``, or one that cannot be read.
    """
    if split not in SPLITS:
        raise ValueError(unknown("split", split, SPLITS))
    checkpoint = checkpoint_of(path)
    saved = checkpoints.read(checkpoint)
    config = config_of(saved) or run_config(checkpoint.parent.parent)
    data: DataModule = build(config["data"])
    module = restore(saved, config, data)
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


def run_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run.

    Raises:
        ValueError: ``folder`` has none.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: it has no config.yaml")
    loaded: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    config: dict[str, Any] = loaded
    return config


def checkpoint_of(path: Path) -> Path:
    """The checkpoint that ``path`` is, or the one of a run's folder that ``evaluate`` takes.

    Raises:
        ValueError: it is no file, and no folder of a run with a checkpoint.
    """
    if path.is_file():
        return path
    for name in ("best.ckpt", "last.ckpt"):
        candidate = path / "checkpoints" / name
        if candidate.is_file():
            return candidate
    raise ValueError(f"no checkpoint: {path} is no file, and holds no checkpoints/best.ckpt")
