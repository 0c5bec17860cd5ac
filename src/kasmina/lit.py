"""The LightningModule: a host with slots, its task, and an optimizer with a group a seed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric, MetricCollection

from kasmina import topology
from kasmina.control.evidence import Evidence
from kasmina.data.order import EpochBatches
from kasmina.graft import Grafted, call
from kasmina.incubation import Incubation
from kasmina.optim import Curve, GroupScheduler, SeedOptions, group_names, make_optimizer
from kasmina.probe import Criterion, Probe, probe
from kasmina.probe.dual import Dual
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.stage import Stage
from kasmina.tasks import Task, predictions


@dataclass(frozen=True)
class Growth:
    """What seeds are made from.

    Args:
        blueprints: recipes by name, in the order of rotation.
        operator: recipe of the blend operator.
        ramp: the way of alpha in a blend.
        seeds: options of a seed's param group.
        run_seed: from which newborns are drawn.
    """

    blueprints: Mapping[str, Recipe]
    operator: Recipe
    ramp: Ramp = field(default_factory=Ramp)
    seeds: SeedOptions = field(default_factory=SeedOptions)
    run_seed: int = 0


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Args:
        optimizer: recipe of a torch optimizer; its ``params`` are the groups.
        curve: learning rate over a group's life.
        memory_format: of inputs that are feature maps.
        augment: applied to training inputs on the device.
    """

    optimizer: Recipe
    curve: Curve = field(default_factory=Curve)
    memory_format: torch.memory_format = torch.contiguous_format
    augment: nn.Module | None = None


class GrowingModule(L.LightningModule):
    """Trains a grafted host; callbacks change the network between steps."""

    def __init__(
        self,
        model: Grafted,
        *,
        task: Task,
        incubation: Incubation,
        growth: Growth,
        training: Training,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.incubation = incubation
        self.growth = growth
        self.training_options = training
        self.metrics: Mapping[str, MetricCollection] = nn.ModuleDict(  # type: ignore[assignment]
            {split: task.metrics(f"{split}/") for split in ("val", "test")}
        )
        self.losses: Mapping[str, MeanMetric] = nn.ModuleDict(  # type: ignore[assignment]
            {name: MeanMetric(nan_strategy="disable") for name in ("loss", "seed_loss")}
        )
        self.contributions: dict[str, float] = {}
        self.seed_losses: dict[str, float] = {}
        self.evidence: dict[str, Evidence] = {}
        self.task_loss = torch.zeros(())
        self.spent: float | None = None  # share of the run's compute; None where it has no limit
        self._looks: dict[str, Metric] = {}
        self._group_order: list[str] | None = None

    def forward(self, inputs: Any) -> Any:
        """What the host returns."""
        return call(self.model, inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Task loss of the network, plus what the seeds in training learn from."""
        inputs, targets = self.lay_out(batch)
        if self.training_options.augment is not None:
            inputs = self.training_options.augment(inputs)

        weight = 1.0 if self._trainer is None else _weight(self.trainer, batch_idx)

        def loss_of(outputs: Any) -> Tensor:
            loss = self.task.loss(outputs, targets)
            return loss if weight == 1.0 else loss * weight

        loss = loss_of(call(self.model, inputs))
        self.task_loss = loss.detach()
        self.losses["loss"].update(self.task_loss)
        extra = self.incubation.loss(self.model, inputs, loss_of, self.global_step)
        if extra is None:
            return loss
        self.losses["seed_loss"].update(extra.detach())
        return loss + extra

    def on_validation_epoch_start(self) -> None:
        """Look at the network with and without each seed whose fate is open."""
        open_ = self.model.at(Stage.TRAINING, Stage.BLENDING, Stage.HOLDING)
        self._looks = {slot.site.name: self.task.score().to(self.device) for slot in open_}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Metrics of the network, and of the networks that differ from it in one seed."""
        inputs, targets = self._evaluate("val", batch)
        for site, score in self._looks.items():
            alpha = 1.0 if self.model.slot(site).stage is Stage.TRAINING else 0.0
            outputs = call(self.model, inputs, alphas={site: alpha})
            score.update(predictions(outputs), targets)

    def on_validation_epoch_end(self) -> None:
        """What each seed brings: the metric with it minus the metric without it."""
        self._log_losses()
        values = self.metrics["val"].compute()
        self.log_dict(values, prog_bar=True, sync_dist=True)
        self.metrics["val"].reset()
        here = float(values[f"val/{self.task.monitor}"])
        self.contributions = {}
        for site, score in self._looks.items():
            gain = self.task.sign * (float(score.compute()) - here)
            silent = self.model.slot(site).stage is Stage.TRAINING
            self.contributions[site] = gain if silent else -gain

    def _log_losses(self) -> None:
        """Training losses since the last validation, so that one row has both."""
        self.seed_losses = {}
        for name, mean in self.losses.items():
            if mean.update_called:
                value = mean.compute()
                self.log(f"train/{name}", value, prog_bar=name == "loss", sync_dist=True)
                mean.reset()
                if name == "seed_loss":
                    training = self.model.at(Stage.TRAINING)
                    self.seed_losses = {slot.site.name: float(value) for slot in training}

    def forget(self, site: str) -> None:
        """What was measured of a seed is not that of the next one in its slot."""
        self.contributions.pop(site, None)
        self.seed_losses.pop(site, None)
        self.evidence.pop(site, None)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Metrics of the network on the test split."""
        self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        """Read the test metrics once."""
        self.log_dict(self.metrics["test"].compute(), sync_dist=True)
        self.metrics["test"].reset()

    def lay_out(self, batch: Any) -> tuple[Any, Any]:
        """Inputs in the memory format of the host, and targets."""
        inputs, targets = batch
        if isinstance(inputs, Tensor) and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=self.training_options.memory_format)
        return inputs, targets

    def _evaluate(self, split: str, batch: Any) -> tuple[Any, Any]:
        inputs, targets = self.lay_out(batch)
        self.metrics[split].update(predictions(call(self.model, inputs)), targets)
        return inputs, targets

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Groups for host and seeds, in the order of a checkpoint where one is resumed."""
        options = self.training_options
        order, self._group_order = self._group_order, None
        optimizer = make_optimizer(self.model, options.optimizer, self.growth.seeds, order)
        total = self.trainer.estimated_stepping_batches
        spent = None if self.spent is None else lambda: self.spent or 0.0
        scheduler = GroupScheduler(optimizer, options.curve, total_steps=total, spent=spent)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each group by itself: one norm over all would let a seed scale the host's step."""
        if not gradient_clip_val:
            return
        by_value = gradient_clip_algorithm == "value"
        for group in optimizer.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if moved and by_value:  # torch refuses a group that this step did not train
                nn.utils.clip_grad_value_(moved, gradient_clip_val)
            elif moved:
                nn.utils.clip_grad_norm_(moved, gradient_clip_val)

    def on_after_backward(self) -> None:
        """With a loss scaler, a seed's overflow must not make the host skip its step."""
        if self.trainer.precision != "16-mixed":
            return
        for slot in self.model.at(Stage.TRAINING):
            for parameter in slot.parameters():
                if parameter.grad is not None:
                    parameter.grad.nan_to_num_(0.0, 0.0, 0.0)

    def probe(
        self,
        batches: Iterable[tuple[Any, Tensor]],
        *,
        criterion: Criterion | None = None,
        micro_batches: int = 4,
    ) -> Probe:
        """Score every empty slot and blueprint by the loss that a training step would see.

        Args:
            batches: of training data, normalised, on the module's device.
            criterion: None takes the dual norm of the optimizer in use.
            micro_batches: parts of each batch, over which errors are taken.

        Raises:
            ValueError: see ``kasmina.probe.probe``, and ``Dual`` where there is no criterion.
        """
        augment = self.training_options.augment

        def laid_out() -> Iterator[tuple[Any, Tensor]]:
            for batch in batches:
                inputs, targets = self.lay_out(batch)
                yield (inputs if augment is None else augment(inputs)), targets

        with self._precision():
            return probe(
                self.model,
                laid_out(),
                self.task.loss,
                blueprints=self.growth.blueprints,
                operator=self.growth.operator,
                run_seed=self.growth.run_seed,
                criterion=criterion or Dual(optimizer=self.training_options.optimizer.target),
                micro_batches=micro_batches,
            )

    def _precision(self) -> AbstractContextManager[Any]:
        """As the trainer runs a training step."""
        if self._trainer is None:
            return nullcontext()
        return self.trainer.precision_plugin.train_step_context()

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> "GrowingModule":  # type: ignore[override]
        """The grown network of a file, without its config or data; see ``kasmina.rebuild``."""
        from kasmina.rebuild import rebuild  # which imports this module

        return rebuild(Path(checkpoint_path))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the topology, what was measured of seeds, and the order of the param groups."""
        checkpoint["topology"] = topology.topology(self.model)
        checkpoint["measured"] = {
            "contributions": dict(self.contributions),
            "seed_losses": dict(self.seed_losses),
        }
        if self._trainer is not None and self.trainer.optimizers:
            checkpoint["param_groups"] = group_names(self.trainer.optimizers[0])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Rebuild the slots before the weights are loaded."""
        if any(tensor.dtype is torch.float64 for tensor in checkpoint["state_dict"].values()):
            self.double()  # the trainer converts after it has loaded, which would round
        topology.restore(self.model, checkpoint["topology"])
        self.contributions = dict(checkpoint["measured"]["contributions"])
        self.seed_losses = dict(checkpoint["measured"]["seed_losses"])
        self._group_order = checkpoint.get("param_groups")


def _weight(trainer: L.Trainer, batch_idx: int) -> float:
    """What makes the mean over ranks a mean over samples, where ranks have unequal batches."""
    order = getattr(trainer.train_dataloader, "sampler", None)
    return order.weight(batch_idx) if isinstance(order, EpochBatches) else 1.0
