"""Accuracy of CIFAR-10 runs on training images that none of them uses: python unused.py RUN...

Two thousand validation images tell networks apart that differ by two points; 20,000 do so at half a
point, and are no more test data than those. A row a run, as comma-separated values: its folder's
name, its seed, the share of right answers on the unused images and on its validation images.
"""

import csv
import json
import sys
from pathlib import Path

import torch

from kasmina import checkpoints
from kasmina.data.cifar10 import Cifar10
from kasmina.data.samples import Samples
from kasmina.data.split import stratified_order
from kasmina.rebuild import config_of, restore
from kasmina.recipe import build

IMAGES = 20_000
BATCH = 500


def unused(data: Cifar10) -> Samples:
    """The images that come next after those for validation and training, in the split's order."""
    source = data._source()
    if source is None or data.subset is None:
        raise SystemExit("needs CIFAR-10 on disk, and a run that trained on a data.subset of it")
    labels, first = source.labels("train"), data.val_size + data.subset
    rows = stratified_order(labels, data.split_seed)[first : first + IMAGES].sort().values
    return Samples(source.images("train", rows), labels[rows])


def accuracy(folder: Path) -> float:
    """Of the last checkpoint of a run."""
    saved = checkpoints.read(folder / "checkpoints" / "last.ckpt")
    config = config_of(saved)
    assert config is not None
    data: Cifar10 = build(config["data"])
    data.setup("fit")
    model, samples = restore(saved, config, data).eval().model, unused(data)
    right = 0
    with torch.no_grad():
        for rows in torch.arange(len(samples)).split(BATCH):
            inputs, labels = data.normalise(samples[rows])
            right += int((model(inputs).argmax(1) == labels).sum())
    return right / len(samples)


def main(folders: list[str]) -> None:
    if not folders:
        raise SystemExit(__doc__)
    table = csv.writer(sys.stdout)
    table.writerow(["run", "seed", "unused_accuracy", "val_accuracy"])
    for folder in map(Path, folders):
        summary = json.loads((folder / "summary.json").read_text())
        seen = (accuracy(folder), summary["final"]["val/accuracy"])
        table.writerow([folder.name, summary["seed"], *(f"{value:.4f}" for value in seen)])


if __name__ == "__main__":
    main(sys.argv[1:])
