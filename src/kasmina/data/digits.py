"""Scikit-learn's handwritten digits: 1,797 images of 8 x 8, embedded in the package.

Alpaydin & Kaynak 1998, https://archive.ics.uci.edu/dataset/80
"""

import torch
from sklearn.datasets import load_digits

from kasmina.data.base import DataModule, Split, check, image_facts
from kasmina.data.samples import Samples
from kasmina.data.split import stratified_order

_NUM_IMAGES = 1797


class Digits(DataModule):
    """Ten classes of 8 x 8 grey images in [0, 1], split by class with a fixed seed.

    Args:
        val_size: images held out for decisions.
        test_size: images for the last line of a report.
        split_seed: of the split; another seed is another experiment.
        num_classes: checked, as the three after it.
        in_channels: of one image.
        image_size: height and width in pixels.
        in_features: pixels of one image.
        batch_size: images of one batch on one rank.
        seed: of the order of training batches.
        drop_last: leave out training batches that are not full.
        gate_size: images of the training split that are held out for gates.
        race_size: the same for races.

    Shape:
        inputs (B, 1, 8, 8) float32, targets (B,) int64.

    Raises:
        ValueError: no image is left for training.
    """

    def __init__(
        self,
        *,
        val_size: int = 300,
        test_size: int = 400,
        split_seed: int = 0,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 8,
        in_features: int = 64,
        batch_size: int = 64,
        seed: int = 0,
        drop_last: bool = False,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            drop_last=drop_last,
            gate_size=gate_size,
            race_size=race_size,
        )
        if min(val_size, test_size) < 1 or val_size + test_size >= _NUM_IMAGES:
            raise ValueError(
                f"data.val_size {val_size} and data.test_size {test_size} must each be at least 1 "
                f"and leave some of the {_NUM_IMAGES} digits for training"
            )
        self.val_size, self.test_size, self.split_seed = val_size, test_size, split_seed
        self.declared = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "image_size": image_size,
            "in_features": in_features,
        }

    def load(self, split: Split) -> Samples:
        images, labels = load_digits(return_X_y=True)
        inputs = torch.from_numpy(images).float().div_(16).view(-1, 1, 8, 8)
        targets = torch.from_numpy(labels).long()
        check("digits", self.declared, image_facts(inputs, targets))
        order = stratified_order(targets, self.split_seed)
        held_out = self.test_size + self.val_size
        rows = {
            "test": order[: self.test_size],
            "val": order[self.test_size : held_out],
            "train": order[held_out:],
        }[split]
        return Samples(inputs[rows], targets[rows])
