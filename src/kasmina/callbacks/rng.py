"""Random numbers as a function of where the run is."""

import torch
from lightning import Callback, LightningModule, Trainer

from kasmina.callbacks.base import Batch
from kasmina.rng import derive


class StepSeed(Callback):
    """Seeds torch at every batch from (seed, rank, epoch, batch): nothing to save, and a resumed
    run draws what the uninterrupted one drew.

    Args:
        seed: the run's seed.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Before augmentation, dropout and whatever else draws in this step."""
        place = (trainer.global_rank, trainer.current_epoch, batch_idx)
        torch.manual_seed(derive(self.seed, *place))
