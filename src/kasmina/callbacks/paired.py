"""Two networks' answers to the same samples, compared.

B samples of a batch, N samples of the split
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from kasmina.control.evidence import Paired, paired_counts
from kasmina.tasks import MeanLoss, Task, predictions

_CHUNK = 1_000_000  # random numbers at a time
_BOOTSTRAP = 2000  # resamples of an interval, whose ends are not as far out as a p


def sample_scores(task: Task) -> tuple[Callable[[Any, Tensor], Tensor], bool]:
    """The monitored metric of each sample, signed such that more is better; whether it is 0 or 1.

    Shape:
        outputs of a host and targets (B, ...) to (B,) float32.

    Raises:
        ValueError: the metric of a split is not the mean of its samples' metrics.
    """
    metric = task.score()
    if isinstance(metric, MeanLoss):
        return lambda out, targets: task.sign * metric.each(predictions(out), targets), False
    if isinstance(metric, MulticlassAccuracy) and metric.average == "micro" and metric.top_k == 1:
        return lambda out, targets: _correct(predictions(out), targets), True
    raise ValueError(
        f"task.monitor {task.monitor!r} cannot be compared sample by sample; possible: loss, or an "
        "accuracy over all samples"
    )


def _correct(outputs: Tensor, targets: Tensor) -> Tensor:
    right = outputs.argmax(1) == targets
    return right.flatten(1).float().mean(1) if right.dim() > 1 else right.float()


def compare(
    with_it: Tensor, without: Tensor, *, binary: bool, confidence: float, resamples: int, seed: int
) -> Paired:
    """Is the network with the seed better? Scores by sample, more is better.

    Args:
        binary: every score is 0 or 1.
        seed: of the resamples.

    Shape:
        both (N,).
    """
    if binary:
        gained, lost = int((with_it > without).sum()), int((with_it < without).sum())
        return paired_counts(gained, lost, len(with_it), confidence=confidence)
    return paired_differences(
        with_it - without, confidence=confidence, resamples=resamples, seed=seed
    )


def paired_differences(
    differences: Tensor, *, confidence: float, resamples: int, seed: int
) -> Paired:
    """Is their mean above zero? By random signs, with a bootstrap interval.

    Shape:
        (N,).
    """
    each = differences.detach().double().cpu()
    generator = torch.Generator().manual_seed(seed)
    p = sign_flip_p(each, resamples, generator)
    low, high = bootstrap(each, confidence, generator)
    return Paired("paired sign-flip test", len(each), float(each.mean()), low, high, p)


def sign_flip_p(each: Tensor, resamples: int, generator: torch.Generator) -> float:
    """The share of random signs under which the sum is at least as large as it is, the one that
    was seen counted in: Fisher 1935, "The design of experiments", section 21.
    """
    least = float(each.sum()) - 1e-9 * float(each.abs().sum())  # the same sum in another order
    above = 0
    for shape in _chunks(resamples, len(each)):
        signs = torch.randint(2, shape, generator=generator, dtype=torch.int8).to(each.dtype)
        above += int(((2 * signs - 1) @ each >= least).sum())
    return (1 + above) / (1 + resamples)


def bootstrap(each: Tensor, confidence: float, generator: torch.Generator) -> tuple[float, float]:
    """Interval of the mean by percentiles: Efron & Tibshirani 1993, chapter 13."""
    means = [
        each[torch.randint(len(each), shape, generator=generator)].mean(1)
        for shape in _chunks(_BOOTSTRAP, len(each))
    ]
    ends = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=each.dtype)
    low, high = torch.quantile(torch.cat(means), ends).tolist()
    return low, high


def _chunks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    most = max(1, _CHUNK // columns)
    for done in range(0, rows, most):
        yield min(most, rows - done), columns
