"""What all data modules share: three splits in memory, batches in a known order.

The test split is not loaded before ``setup("test")``, so that nothing that decides during
training can see it. Two more parts may be held out of the training split: ``gate``, on which
statistical gates test seeds, and ``race``, on which candidates are compared.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from kasmina.data.held import InMemory, hold_out
from kasmina.data.loader import ResumableLoader
from kasmina.data.order import EpochBatches
from kasmina.data.samples import Batch, FixedBatches

Split = Literal["train", "val", "test"]
"""What a data module loads."""
Part = Literal["train", "val", "test", "gate", "race"]
"""What there is of it in a run."""


class DataModule(LightningDataModule):
    """Train, validation and test batches ``(inputs, targets)``.

    A subclass gives ``load``, and where they apply ``missing``, ``prepare_data``,
    ``normalise`` and ``has_test``. Its constructor reads no file. Run the trainer with
    ``use_distributed_sampler=False``: the order knows the ranks.

    Args:
        batch_size: samples of one batch on one rank.
        seed: of the order of training batches.
        drop_last: leave out training batches that are not full.
        draws: see ``EpochBatches``.
        augment: what the training step puts inputs through, or None.
        gate_size: samples (of a text: windows) of the training split that are held out for gates.
        race_size: the same for races.

    Raises:
        ValueError: a batch of nothing, or a part of less than nothing.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        draws: int | None = None,
        augment: nn.Module | None = None,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"a batch has at least 1 sample, not {batch_size}")
        if draws is not None and draws < 1:
            raise ValueError(f"an epoch has at least 1 batch, not {draws}")
        at_least(0, gate_size=gate_size, race_size=race_size)
        self.batch_size, self.seed = batch_size, seed
        self.drop_last, self.draws = drop_last, draws
        self.augment = augment
        self.gate_size, self.race_size = gate_size, race_size
        self._loaded: dict[str, InMemory] = {}

    @abstractmethod
    def load(self, split: Split) -> InMemory:
        """Read one split into memory and check what was declared against it."""

    def missing(self) -> str | None:
        """One line on a file that is missing or damaged, or None; decodes nothing."""
        return None

    def normalise(self, batch: Batch) -> Batch:
        """Make a loader's batch a model's, on the batch's own device."""
        return batch

    @property
    def has_test(self) -> bool:
        """Whether there is a test split."""
        return True

    def setup(self, stage: str | None = None) -> None:
        """Load what ``stage`` needs: ``test`` the test split, any other train and validation.

        Raises:
            OSError: a file is missing or damaged.
            ValueError: what was loaded is not what was declared, or what is held out of training
                leaves nothing to train on.
        """
        splits: tuple[Split, ...] = ("test",) if stage == "test" else ("train", "val")
        for split in splits:
            if split not in self._loaded:
                if problem := self.missing():
                    raise OSError(problem)
                loaded = self.load(split)
                if split == "train" and (self.gate_size or self.race_size):
                    self._loaded |= hold_out(loaded, gate=self.gate_size, race=self.race_size)
                else:
                    self._loaded[split] = loaded

    def dataset(self, split: Part) -> InMemory:
        """What is loaded of ``split``.

        Raises:
            LookupError: nothing yet, or nothing is held out for it.
        """
        if split in {"gate", "race"} and not getattr(self, f"{split}_size"):
            raise LookupError(f"no {split} split: data.{split}_size is 0")
        if split not in self._loaded:
            stage = "test" if split == "test" else "fit"
            raise LookupError(f"the {split} split is not loaded; setup({stage!r}) loads it")
        return self._loaded[split]

    def example(self) -> Batch:
        """Two samples of the training split as a model gets them, for shape inference."""
        self.prepare_data()
        self.setup("fit")
        return self.normalise(self.dataset("train")[torch.arange(2)])

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches in the order of (seed, epoch)."""
        shuffle = not self._overfits  # an epoch that always begins the same is overfitted to
        return self._loader("train", shuffle=shuffle, drop_last=self.drop_last, draws=self.draws)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every validation sample once."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Every test sample once."""
        return self._loader("test")

    def in_order(self, split: Part) -> DataLoader[Batch]:
        """Every sample of ``split`` once, in the dataset's order, whatever the trainer does."""
        dataset = self.dataset(split)
        order = EpochBatches(len(dataset), self.batch_size, seed=self.seed, shuffle=False)
        return _load(dataset, order)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Call ``normalise`` in the trainer, in the trainer's precision."""
        ready = self.normalise(batch)
        if self.trainer is None:
            return ready
        # a batch of integers has passed the trainer's own cast; "bf16-true" needs it after too
        inputs, targets = self.trainer.precision_plugin.convert_input(ready)
        return inputs, targets

    @property
    def _overfits(self) -> bool:
        return self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]

    def _loader(
        self,
        split: Split,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        draws: int | None = None,
    ) -> DataLoader[Batch]:
        dataset = self.dataset(split)
        order = EpochBatches(
            len(dataset),
            self.batch_size,
            seed=self.seed,
            shuffle=shuffle,
            drop_last=drop_last,
            draws=draws,
        )
        indexed: Dataset[Batch] = dataset
        sampler: Sampler[Any] = order
        if self._overfits:  # the trainer replaces any sampler but a sequential one
            indexed = FixedBatches(dataset, order)
            sampler = SequentialSampler(indexed)
        return _load(indexed, sampler)


def _load(dataset: Dataset[Batch], sampler: Sampler[Any]) -> DataLoader[Batch]:
    return ResumableLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # else each epoch draws from the global one
    )


def check(where: str, declared: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Compare what a config declares with what was loaded.

    Raises:
        ValueError: they differ; names the first option that does.
    """
    for name, value in declared.items():
        if value != found[name]:
            raise ValueError(f"data.{name} came as {value}, but {where} has {name} {found[name]}")


def at_least(least: int, **options: int) -> None:
    """Refuse what is too little.

    Raises:
        ValueError: an option is below ``least``; names it.
    """
    for name, value in options.items():
        if value < least:
            raise ValueError(f"{name} is at least {least}, not {value}")


def image_facts(inputs: Tensor, targets: Tensor) -> dict[str, object]:
    """What is declared of images: (N, C, S, S) and their labels (N,)."""
    channels, height, width = inputs.shape[1:]
    return {
        "in_channels": channels,
        "image_size": height if height == width else [height, width],
        "in_features": channels * height * width,
        "num_classes": len(torch.unique(targets)),
    }


def _as_it_is(batch: Any) -> Any:
    return batch
