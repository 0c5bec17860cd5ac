"""Random numbers as a function of where the run is."""

import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from kasmina.callbacks.base import Batch
from kasmina.rng import derive


class StepSeed(Callback):
    """Seeds torch, numpy and Python at every batch from (seed, rank, epoch, batch): a resumed run
    draws what the uninterrupted one drew, from whichever checkpoint.

    Args:
        seed: the run's seed.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Before augmentation, dropout and whatever else draws in this step."""
        here = derive(self.seed, trainer.global_rank, trainer.current_epoch, batch_idx)
        torch.manual_seed(here)
        random.seed(here)
        np.random.seed(here % 2**32)  # it takes no more bits


def random_states() -> dict[str, Any]:
    """The global random states of torch, its GPU, numpy and Python, as tensors and plain values."""
    numpy: Any = np.random.get_state(legacy=False)
    numpy["state"] = {**numpy["state"], "key": numpy["state"]["key"].tolist()}
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": numpy,
        "python": random.getstate(),
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Draw from here what was drawn after ``random_states``."""
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])
