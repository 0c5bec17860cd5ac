"""The monitored metric of every single sample."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from kasmina.tasks import MeanLoss, Task

_TOLERANCE = 1e-3  # a metric sums in float32


def sample_scores(task: Task, predictions: Tensor, targets: Tensor) -> Tensor:
    """The monitored metric of each sample times ``task.sign``, (N,) float64: more is better.

    Args:
        predictions, targets: (N, ...) as the task's metric takes them.

    Raises:
        ValueError: the metric of the batch is no mean of those of its samples, so that networks
            cannot be compared sample by sample.
    """
    metric = task.score().to(predictions.device)
    values = _values(metric, predictions, targets).double()
    metric.update(predictions, targets)
    whole = float(metric.compute())
    if not abs(float(values.mean()) - whole) <= _TOLERANCE * max(1.0, abs(whole)):
        raise ValueError(
            f"{task.monitor} is no mean over samples, so that no interval over samples can be "
            "given; possible: accuracy, loss, and others that are"
        )
    return task.sign * values


def _values(metric: object, predictions: Tensor, targets: Tensor) -> Tensor:
    if isinstance(metric, MeanLoss):
        return metric.each(predictions, targets)
    if isinstance(metric, MulticlassAccuracy) and predictions.dim() == 2:
        return (predictions.argmax(1) == targets).float()
    assert callable(metric)
    pairs = zip(torch.split(predictions, 1), torch.split(targets, 1), strict=True)
    return torch.stack([metric(given, target).float() for given, target in pairs])
