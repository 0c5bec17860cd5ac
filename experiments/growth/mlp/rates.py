"""Which learning rate suits a perceptron from scratch, and which one that grows at its input?

Trains both on 24 splits of the digits that `growth_mlp` does not test with, for its 1.87 GFLOP, and
writes what their validation says: `python experiments/growth/mlp/rates.py`.
"""

import csv
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from rich.progress import track
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kasmina.blueprints.mlp import MLP as Seed
from kasmina.data.split import stratified_order
from kasmina.hosts.mlp import MLP
from kasmina.site import Site

FLOPS = 1.87e9  # of one training, with a validation an epoch
TESTED, VALIDATED, BATCH = 597, 200, 64  # images
SPLITS = range(24)
GROWN_AT = {"from scratch": 0.0, "grown at a tenth of the compute": 0.1}
RATES = (0.005, 0.01, 0.02, 0.03, 0.05)
SMOOTHINGS = (0.0, 0.02)


class Case(NamedTuple):
    network: str
    rate: float
    smoothing: float


class Pool(NamedTuple):
    inputs: Tensor
    targets: Tensor

    def at(self, rows: Tensor) -> "Pool":
        return Pool(self.inputs[rows], self.targets[rows])


def pool() -> Pool:
    """All images but those of the benchmark's test split."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.from_numpy(images).float() / 16, torch.from_numpy(labels).long()
    return Pool(inputs, targets).at(stratified_order(targets, 0)[TESTED:])


def grow(host: MLP) -> list[nn.Parameter]:
    """A seed at the input that puts out what comes in, until it has learned."""
    seed = Seed(Site("input", "vector", 64, (64,)), ratio=0.5)
    host.add_module("input", nn.Sequential(nn.Flatten(), seed))
    return list(seed.parameters())


def forward_flops(host: MLP) -> int:
    """Of one sample."""
    return 2 * sum(m.weight.numel() for m in host.modules() if isinstance(m, nn.Linear))


def trained(case: Case, split: int, data: Pool) -> tuple[float, float]:
    """Validation loss and accuracy at the end."""
    order = torch.randperm(len(data.targets), generator=torch.Generator().manual_seed(1000 + split))
    held_out, training = data.at(order[:VALIDATED]), data.at(order[VALIDATED:])
    torch.manual_seed(split)
    host = MLP(in_features=64, num_classes=10, widths=[16, 16])
    optimizer = torch.optim.AdamW(host.parameters(), lr=case.rate, weight_decay=0.3)
    spent, grown = 0.0, False
    while spent < FLOPS:
        if not grown and spent >= GROWN_AT[case.network] * FLOPS:
            optimizer.add_param_group({"params": grow(host)})
            grown = True
        for rows in torch.split(torch.randperm(len(training.targets)), BATCH):
            for group in optimizer.param_groups:
                group["lr"] = case.rate * (1 + math.cos(math.pi * min(1, spent / FLOPS))) / 2
            inputs, targets = training.at(rows)
            optimizer.zero_grad()
            cross_entropy(host(inputs), targets, label_smoothing=case.smoothing).backward()
            optimizer.step()
            spent += 3 * forward_flops(host) * len(rows)
        spent += forward_flops(host) * VALIDATED
    with torch.no_grad():
        outputs = host(held_out.inputs)
    right = (outputs.argmax(1) == held_out.targets).float().mean()
    return float(cross_entropy(outputs, held_out.targets)), float(right)


def main() -> None:
    torch.set_num_threads(1)
    data, rows = pool(), []
    cases = [Case(n, r, s) for s in SMOOTHINGS for n in GROWN_AT for r in RATES]
    for case in track(cases, "cases"):
        losses, accuracies = zip(*(trained(case, split, data) for split in SPLITS), strict=True)
        error = len(SPLITS) ** -0.5
        rows.append(
            {
                **case._asdict(),
                "splits": len(SPLITS),
                "val loss": round(fmean(losses), 4),
                "standard error of loss": round(stdev(losses) * error, 4),
                "val accuracy": round(fmean(accuracies), 4),
                "standard error of accuracy": round(stdev(accuracies) * error, 4),
            }
        )
    with (Path(__file__).parent / "rates.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
