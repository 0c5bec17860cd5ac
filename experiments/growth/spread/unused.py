"""Accuracy of CIFAR-10 runs on training images that none of them uses: python unused.py RUN...

Two thousand validation images tell networks apart that differ by two points; 20,000 do so at half a
point, and are no more test data than those. A row a run, as comma-separated values: its folder's
name, its seed, the share of right answers on the unused images and on its validation images, its
parameters, the seeds it kept, the races it held, and the share of its compute that they took.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import torch

from kasmina import checkpoints
from kasmina.data.cifar10 import Cifar10
from kasmina.evaluate import run_config
from kasmina.rebuild import restore
from kasmina.recipe import build

IMAGES = 20_000
RECORDS = ("summary", "ledger")
COLUMNS = ("run", "seed", "unused_accuracy", "val_accuracy", "parameters", "kept", "races", "share")


def unused(config: dict[str, Any]) -> Cifar10:
    """The images that come next after those for validation and training, in the split's order: the
    training split of data that hold out all of those."""
    if config["subset"] is None:
        raise SystemExit("needs a run that trained on a data.subset of CIFAR-10")
    seen = config["val_size"] + config["subset"]
    options = {"val_size": seen, "subset": IMAGES, "race_size": 0, "gate_size": 0}
    data: Cifar10 = build({**config, **options})
    data.setup("fit")
    return data


def accuracy(folder: Path) -> float:
    """Of the last checkpoint of a run."""
    saved = checkpoints.read(folder / "checkpoints" / "last.ckpt")
    config = run_config(folder)
    data = unused(config["data"])
    model = restore(saved, config, data).eval().model
    right = 0
    with torch.no_grad():
        for batch in data.in_order("train"):
            inputs, labels = data.normalise(batch)
            right += int((model(inputs).argmax(1) == labels).sum())
    return right / IMAGES


def row(folder: Path) -> list[object]:
    """What the table has of a run."""
    summary, ledger = (json.loads((folder / f"{name}.json").read_text()) for name in RECORDS)
    spent = ledger["flops"]["race"] / ledger["flops"]["total"]
    told = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    races = sum(e["event"] == "race" and "candidates" in e["numbers"] for e in told)
    shares = (accuracy(folder), summary["final"]["val/accuracy"])
    grown = (summary["parameters"]["total"], summary["seeds"]["kept"])
    accuracies = (f"{share:.4f}" for share in shares)
    return [folder.name, summary["seed"], *accuracies, *grown, races, f"{spent:.3f}"]


def main(folders: list[str]) -> None:
    if not folders:
        raise SystemExit(__doc__)
    table = csv.writer(sys.stdout)
    table.writerow(COLUMNS)
    table.writerows(map(row, map(Path, folders)))


if __name__ == "__main__":
    main(sys.argv[1:])
