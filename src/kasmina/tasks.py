"""What a network is trained for: a loss, metrics, and the one metric that decisions watch."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from kasmina.suggest import unknown


class Task:
    """A loss and metrics of (outputs, targets); use it as it is for a loss of your own.

    Args:
        loss: maps (outputs, targets) to a 0-d mean loss.
        metrics: torchmetrics by name, each updated with (outputs, targets).
        monitor: the name of the metric that decisions watch, or ``loss``.
        mode: ``max`` where more is better, ``min`` where less is.

    Raises:
        ValueError: a monitor that is no metric here, or an unknown mode.
    """

    def __init__(
        self,
        *,
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Mapping[str, Metric],
        monitor: str,
        mode: str,
    ) -> None:
        if monitor not in {"loss", *metrics}:
            raise ValueError(unknown("metric to monitor", monitor, ["loss", *metrics]))
        if mode not in {"min", "max"}:
            raise ValueError(unknown("mode", mode, ["min", "max"]))
        self._loss = loss
        self._metrics = dict(metrics)
        self.monitor = monitor
        self.mode = mode

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """The training loss, a 0-d tensor."""
        return self._loss(predictions(outputs), targets)

    def metrics(self, prefix: str) -> MetricCollection:
        """Fresh metrics of one split, its loss among them."""
        every = {"loss": MeanLoss(self._loss), **{k: m.clone() for k, m in self._metrics.items()}}
        return MetricCollection(every, prefix=prefix, compute_groups=False)

    def score(self) -> Metric:
        """A fresh copy of the monitored metric, for a look at another network."""
        return (
            MeanLoss(self._loss) if self.monitor == "loss" else self._metrics[self.monitor].clone()
        )

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.mode == "max" else -1.0


class Classification(Task):
    """One class a sample: cross entropy and accuracy."""

    def __init__(
        self,
        *,
        num_classes: int,
        label_smoothing: float = 0.0,
        monitor: str = "accuracy",
        mode: str = "max",
    ) -> None:
        super().__init__(
            loss=nn.CrossEntropyLoss(label_smoothing=label_smoothing),
            metrics={"accuracy": MulticlassAccuracy(num_classes, average="micro")},
            monitor=monitor,
            mode=mode,
        )


class LanguageModelling(Task):
    """The next token: cross entropy in nats, and in bits per character (or byte)."""

    def __init__(self, *, monitor: str = "loss", mode: str = "min") -> None:
        super().__init__(
            loss=token_loss,
            metrics={"bpc": MeanLoss(token_loss, scale=1 / math.log(2))},
            monitor=monitor,
            mode=mode,
        )


class MeanLoss(MeanMetric):
    """The mean of a loss over targets, times ``scale``."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], scale: float = 1.0) -> None:
        super().__init__(nan_strategy="disable")
        self.loss = loss
        self.scale = scale

    def update(self, outputs: Tensor, targets: Tensor) -> None:  # type: ignore[override]
        """Shape: outputs and targets as the loss takes them."""
        value = self.loss(outputs, targets).detach().float() * self.scale
        super().update(value, weight=targets.numel())


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats. Shape: logits (B, T, V), targets (B, T)."""
    return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def predictions(outputs: Any) -> Tensor:
    """The tensor of predictions in what a host returned: itself, ``.logits``, or the first item."""
    if isinstance(outputs, Tensor):
        return outputs
    logits = getattr(outputs, "logits", None)
    first = logits if isinstance(logits, torch.Tensor) else outputs[0]
    assert isinstance(first, Tensor), f"no predictions in {type(outputs).__name__}"
    return first
