"""CIFAR-10: 60,000 colour images of 32 x 32 in ten classes.

Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
"""

import tarfile
from pathlib import Path

import torch
from torch import Tensor, nn

from kasmina.data.base import DataModule, Split, check, image_facts
from kasmina.data.cifar10_files import FOLDER, Source, find
from kasmina.data.files import fetch
from kasmina.data.samples import Batch, Samples
from kasmina.data.split import stratified_order

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
MEAN = (0.4914, 0.4822, 0.4465)  # of the training images' red, green and blue, in [0, 1]
STD = (0.2470, 0.2435, 0.2616)


class Cifar10(DataModule):
    """CIFAR-10 from ``root`` or ``root/cifar10``, as parquet or as the original pickles.

    Images stay uint8 in memory; a batch is normalised on its device by ``normalise``. Validation
    is cut by class from the training images and does not change with ``subset``.

    Args:
        root: the data root.
        download: fetch the original archive (163 MiB) if no copy is found.
        subset: how many training images to keep, by class; None keeps all.
        val_size: training images held out for decisions.
        split_seed: of the split and the subset.
        augment: what the training step puts images through, or None.
        num_classes: checked, as the three after it.
        in_channels: of one image.
        image_size: height and width in pixels.
        in_features: values of one image.
        batch_size: images of one batch on one rank.
        seed: of the order of training batches.
        drop_last: leave out training batches that are not full.
        gate_size: images of the training split that are held out for gates.
        race_size: the same for races.

    Shape:
        inputs (B, 3, 32, 32), uint8 from the loader and float32 once normalised; targets (B,).

    Raises:
        ValueError: more images asked for than there are.
    """

    def __init__(
        self,
        *,
        root: str,
        download: bool = False,
        subset: int | None = None,
        val_size: int = 5000,
        split_seed: int = 0,
        augment: nn.Module | None = None,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        in_features: int = 3072,
        batch_size: int = 128,
        seed: int = 0,
        drop_last: bool = False,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            drop_last=drop_last,
            augment=augment,
            gate_size=gate_size,
            race_size=race_size,
        )
        self.root, self.download = Path(root).expanduser(), download
        self.subset, self.val_size, self.split_seed = subset, val_size, split_seed
        self.declared = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "image_size": image_size,
            "in_features": in_features,
        }
        self._mean = torch.tensor(MEAN).mul(255).view(3, 1, 1)
        self._std = torch.tensor(STD).mul(255).view(3, 1, 1)

    def missing(self) -> str | None:
        source = self._source()
        if source is not None:
            return source.problem()
        if self.download:
            return None
        return (
            f"no CIFAR-10 in {self._folder().resolve()} or {self.root.resolve()} (train.parquet "
            f"and test.parquet, or {FOLDER}/); point data.root there, or set data.download=true"
        )

    def prepare_data(self) -> None:
        if self.download and self._source() is None:
            archive = self._folder() / Path(URL).name
            fetch(URL, archive, sha256=SHA256)
            with tarfile.open(archive) as tar:
                # Python 3.11 has the filter from 3.11.4 on; the archive's checksum is known anyway
                safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                tar.extractall(archive.parent, **safe)  # type: ignore[arg-type]
            archive.unlink()

    def load(self, split: Split) -> Samples:
        source = self._source()
        assert source is not None
        labels = source.labels("test" if split == "test" else "train")
        rows = self._rows(split, labels)
        samples = Samples(source.images("test" if split == "test" else "train", rows), labels[rows])
        where = f"the CIFAR-10 in {source.folder}"
        check(where, self.declared, image_facts(samples.inputs, labels))
        return samples

    def normalise(self, batch: Batch) -> Batch:
        images, labels = batch
        if self._mean.device != images.device:
            self._mean, self._std = self._mean.to(images.device), self._std.to(images.device)
        return images.float().sub_(self._mean).div_(self._std), labels

    def _rows(self, split: Split, labels: Tensor) -> Tensor:
        """Which images of their file belong to the split, in the file's order."""
        if split == "test":
            return torch.arange(len(labels))
        order = stratified_order(labels, self.split_seed)
        kept = len(labels) - self.val_size if self.subset is None else self.subset
        if min(kept, self.val_size) < 1 or self.val_size + kept > len(labels):
            raise ValueError(
                f"val_size {self.val_size} and subset {self.subset} must each be at least 1 and "
                f"together no more than the {len(labels)} training images"
            )
        rows = order[: self.val_size] if split == "val" else order[self.val_size :][:kept]
        return rows.sort().values

    def _folder(self) -> Path:
        return self.root / "cifar10"

    def _source(self) -> Source | None:
        return find(self._folder()) or find(self.root)
