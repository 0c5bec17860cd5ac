"""What a network is trained for: a loss, metrics, and the one metric that decisions watch."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from kasmina.suggest import unknown


class Task:
    """A loss and metrics of (outputs, targets); use it as it is for a loss of your own.

    Args:
        loss: maps (outputs, targets) to a 0-d mean loss; it is reported of each split.
        training_loss: what training minimizes, where that is another: a smoothed or weighted one.
        metrics: torchmetrics by name, each updated with (outputs, targets).
        monitor: the name of the metric that decisions watch, or ``loss``.
        mode: ``max`` where more is better, ``min`` where less is.
        chance: the monitored metric of a network that knows nothing; None where it is not known.

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
        chance: float | None = None,
        training_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        if monitor not in {"loss", *metrics}:
            raise ValueError(unknown("metric to monitor", monitor, ["loss", *metrics]))
        if mode not in {"min", "max"}:
            raise ValueError(unknown("mode", mode, ["min", "max"]))
        self.reported = loss
        self._trained = training_loss or loss
        self._metrics = dict(metrics)
        self.monitor = monitor
        self.mode = mode
        self.chance = chance

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """The training loss, a 0-d tensor."""
        return self._trained(predictions(outputs), targets)

    def metrics(self, prefix: str) -> MetricCollection:
        """Fresh metrics of one split, its loss among them."""
        every: dict[str, Metric | MetricCollection] = {"loss": MeanLoss(self.reported)}
        every |= {name: metric.clone() for name, metric in self._metrics.items()}
        return MetricCollection(every, prefix=prefix, compute_groups=False)

    def score(self) -> Metric:
        """A fresh copy of the monitored metric, for a look at another network."""
        if self.monitor == "loss":
            return MeanLoss(self.reported)
        return self._metrics[self.monitor].clone()

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.mode == "max" else -1.0


class Classification(Task):
    """One class a sample: cross entropy and accuracy.

    Args:
        label_smoothing: share of a training target that is spread over all classes (Szegedy et al.
            2016, https://arxiv.org/abs/1512.00567); what is reported is not smoothed.

    Raises:
        ValueError: no class, or a smoothing outside [0, 1].
    """

    def __init__(
        self,
        *,
        num_classes: int,
        label_smoothing: float = 0.0,
        monitor: str = "accuracy",
        mode: str = "max",
    ) -> None:
        if num_classes < 1 or not 0 <= label_smoothing <= 1:
            raise ValueError(
                "num_classes is at least 1 and label_smoothing lies in [0, 1]; "
                f"not {num_classes} and {label_smoothing}"
            )
        super().__init__(
            loss=nn.CrossEntropyLoss(),
            training_loss=nn.CrossEntropyLoss(label_smoothing=label_smoothing),
            metrics={"accuracy": MulticlassAccuracy(num_classes, average="micro")},
            monitor=monitor,
            mode=mode,
            chance={"accuracy": 1 / num_classes, "loss": math.log(num_classes)}.get(monitor),
        )


class LanguageModelling(Task):
    """The next token: cross entropy in nats, and in bits per character (or byte).

    Args:
        chance: the monitored metric of a guess among all tokens; None does not look for it.
    """

    def __init__(
        self, *, monitor: str = "loss", mode: str = "min", chance: float | None = None
    ) -> None:
        super().__init__(
            loss=token_loss,
            metrics={"bpc": MeanLoss(token_loss, scale=1 / math.log(2))},
            monitor=monitor,
            mode=mode,
            chance=chance,
        )


class MeanLoss(Metric):
    """The mean of a loss over targets, times ``scale``.

    Not a ``torchmetrics.MeanMetric``: with ``nan_strategy="disable"`` that leaves weights out, so
    that a last batch of one sample counts as much as a full one.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], scale: float = 1.0) -> None:
        super().__init__()
        self.loss = loss
        self.scale = scale
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Shape: outputs and targets as the loss takes them."""
        self.total += self.loss(outputs, targets).detach().float() * targets.numel()
        self.count += targets.numel()

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every sample by itself. Shape: (N, ...) both to (N,) float32."""
        return sample_losses(self.loss, outputs, targets).float() * self.scale

    def compute(self) -> Tensor:
        """The mean so far, 0-d."""
        return self.total / self.count * self.scale


def sample_losses(
    loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor
) -> Tensor:
    """The mean loss of every sample by itself. Shape: (N, ...) both to (N,)."""
    return torch.vmap(lambda given, target: loss(given[None], target[None]))(outputs, targets)


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats. Shape: logits (B, T, V), targets (B, T)."""
    return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def predictions(outputs: Any) -> Tensor:
    """The tensor of predictions in what a host returned: itself, its logits, or its first item.

    Raises:
        ValueError: none of these is a tensor.
    """
    named = isinstance(outputs, Mapping) and outputs.get("logits")
    found = named if isinstance(named, Tensor) else getattr(outputs, "logits", outputs)
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        what = type(outputs).__name__
        raise ValueError(
            f"no predictions in what the host returned, a {what}; possible: a tensor, a tuple "
            "that begins with one, or one under the name logits"
        )
    return found
