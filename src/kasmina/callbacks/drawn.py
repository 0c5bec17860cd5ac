"""Batches that a probe or a race within a run draws for itself, as a training step gets them."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.utilities import move_data_to_device

from kasmina.data.base import DataModule
from kasmina.lit import GrowingModule

Batch = tuple[Any, Any]


def data_of(trainer: Trainer, who: str) -> DataModule:
    """The run's data.

    Raises:
        ValueError: it is not kasmina's, whose samples can be drawn by number.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, DataModule):
        raise ValueError(f"{who} draws its batches from a kasmina.data.base.DataModule")
    return data


def ready(module: GrowingModule, data: DataModule, batch: Any) -> Batch:
    """Samples of a split on the module's device, normalised and laid out."""
    moved = move_data_to_device(batch, module.device)
    return module.lay_out(data.on_after_batch_transfer(moved, 0))


def augmented(module: GrowingModule, data: DataModule, batch: Any) -> Batch:
    """The same, and changed as training changes its inputs."""
    inputs, targets = ready(module, data, batch)
    augment = module.training_options.augment
    return (inputs if augment is None else augment(inputs)), targets
