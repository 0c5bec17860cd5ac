"""Puts a run that breaks back to its last sound snapshot, and takes the guilty seed out."""

import logging
from itertools import zip_longest
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from kasmina.callbacks.base import Batch, GrowthCallback, announce, change, growing, the
from kasmina.callbacks.ticker import Ticker
from kasmina.control.health import Health, Trouble
from kasmina.lit import GrowingModule
from kasmina.rollback import SPEAKS, culprit, reconcile, stands, verdict, whole
from kasmina.snapshot import Rolling, Snapshot, finite
from kasmina.stage import Event
from kasmina.strategies import commit_topology
from kasmina.surgery import Change

log = logging.getLogger(__name__)


class Governor(GrowthCallback):
    """Watches losses and the monitored metric; on trouble, all ranks go back to a snapshot from
    before it, and the seed that was changing the network is pruned.

    Steps, epochs and data go on: the batches since the snapshot are not repeated. The losses are
    means over ranks and equal on all of them, so all decide alike.

    Args:
        window: optimizer steps (and validations) that the scale of the loss is taken from.
        spike: robust standard deviations above the median from which a loss is a spike.
        patience: optimizer steps in a row above it that are trouble.
        validations: the same for validations, above it or with the metric at chance.
        max_loss: a validation loss above this is trouble; None: only a non-finite one.
        look_every: optimizer steps from look to look at the losses; a look waits for the device.
        snapshot_every: optimizer steps from snapshot to snapshot.
        keep: snapshots that are kept, beside the last one that a validation found sound.
        rollbacks: how often the run may go back; at the next trouble it ends as diverged.

    Raises:
        ValueError: a number of steps, snapshots or rollbacks that makes no sense.
    """

    def __init__(
        self,
        *,
        window: int = 100,
        spike: float = 10.0,
        patience: int = 10,
        validations: int = 3,
        max_loss: float | None = None,
        look_every: int = 10,
        snapshot_every: int = 50,
        keep: int = 2,
        rollbacks: int = 3,
    ) -> None:
        if look_every < 1 or rollbacks < 0:
            raise ValueError(
                "look_every is at least 1 step and rollbacks at least 0; "
                f"not {look_every} and {rollbacks}"
            )
        self.health = Health(
            window=window,
            spike=spike,
            patience=patience,
            validations=validations,
            max_loss=max_loss,
        )
        self.snapshots = Rolling(every=snapshot_every, keep=keep)
        self.look_every = look_every
        self.rollbacks = rollbacks
        self.done = 0
        self.diverged = False
        self._open: list[Tensor] = []
        self._unseen: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """There is something to go back to from the first step on."""
        self._snap(trainer, growing(pl_module))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the loss; look, and take a snapshot, only between two optimizer steps."""
        module, loop = growing(pl_module), trainer.fit_loop.epoch_loop
        self._open.append(module.task_loss)
        if loop._should_accumulate():
            return
        self._unseen.append(_mean(trainer, self._open))
        self._open = []
        due = self.snapshots.due(trainer.global_step)
        look = due or len(self._unseen) >= self.look_every or _ends_here(trainer)
        if self.diverged or not look:
            return
        trouble = self.look(trainer.global_step)
        if trouble is not None:
            self.act(trainer, module, trouble)
        elif due:
            self._snap(trainer, module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what validation found."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or self.diverged:
            return
        module, seen = growing(pl_module), trainer.callback_metrics
        task = module.task
        trouble = self.health.validation(
            trainer.global_step,
            loss=float(seen["val/loss"]),
            score=task.sign * float(seen[f"val/{task.monitor}"]),
            chance=None if task.chance is None else task.sign * task.chance,
        )
        if trouble is not None:
            with torch.inference_mode(False), torch.enable_grad():  # a validation runs without
                self.act(trainer, module, trouble)
        else:
            self._snap(trainer, module, validated=True)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """A network without a seed that spoke is another one: its loss may have another scale."""
        if change.event == Event.PRUNE and change.stage_from in SPEAKS:
            self.health.forget()

    def look(self, step: int) -> Trouble | None:
        """The first trouble in the losses of the steps up to ``step`` that nobody has looked at."""
        losses = [float(loss) for loss in self._unseen]
        self._unseen = []
        first = step - len(losses) + 1
        found = (self.health.step(first + at, loss) for at, loss in enumerate(losses))
        return next(filter(None, found), None)

    def act(self, trainer: Trainer, module: GrowingModule, trouble: Trouble) -> None:
        """Go back, or give up."""
        if self.done < self.rollbacks and self.snapshots.kept:
            self.done += 1
            self.roll_back(trainer, module, trouble)
            return
        self.diverged = trainer.should_stop = True
        _say(
            trainer,
            f"{trouble.reason}, after {self.done} of {self.rollbacks} rollbacks: "
            "the run has diverged and ends here",
        )

    def roll_back(self, trainer: Trainer, module: GrowingModule, trouble: Trouble) -> None:
        """Restore the snapshot, take the seed out that was changing, and tell everyone."""
        model, ticker = module.model, the(trainer, Ticker)
        before, site, parameters = stands(model), culprit(model), list(model.parameters())
        snapshot = self.snapshots.back(trouble.sound)
        snapshot.restore(trainer, module)
        changes = reconcile(module, before, trouble.reason)
        numbers = {**trouble.numbers, "to_step": snapshot.step, "rollback": self.done}
        tick = ticker.tick - ticker.due  # what a tick that is due changes comes after this
        for each in (whole(trouble.reason, numbers), *changes):
            announce(trainer, module, tick, each)
        prune = verdict(module, site or culprit(model), trouble.reason)
        if prune is not None:
            change(trainer, module, tick, prune)
        if any(p is not q for p, q in zip_longest(parameters, model.parameters())):
            commit_topology(trainer)
        ticker.reshaped = False
        self.health.calm()
        for mean in module.losses.values():
            mean.reset()
        taken = prune.site if prune else site or "nothing"
        count = f"rollback {self.done} of {self.rollbacks}"
        _say(trainer, f"{trouble.reason}: back to step {snapshot.step}, pruned {taken} ({count})")

    def _snap(self, trainer: Trainer, module: GrowingModule, *, validated: bool = False) -> None:
        """Keep a copy, unless something is wrong with the network or may turn out to be."""
        sound = not self.health.suspicious and finite(module)
        if trainer.world_size > 1:
            sound = trainer.strategy.reduce_boolean_decision(sound)
        if not sound or (validated and self.snapshots.validate(trainer.global_step)):
            return
        self.snapshots.add(Snapshot.take(trainer, module, validated=validated))

    def state_dict(self) -> dict[str, Any]:
        """What was counted and seen; the snapshots are taken anew."""
        unseen = [float(loss) for loss in self._unseen]
        return {"done": self.done, "unseen": unseen, "health": self.health.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.done = state_dict["done"]
        self._unseen = [torch.tensor(loss) for loss in state_dict["unseen"]]
        self.health.load_state_dict(state_dict["health"])


def _say(trainer: Trainer, line: str) -> None:
    if trainer.is_global_zero:
        log.warning("step %d: %s", trainer.global_step, line)


def _mean(trainer: Trainer, losses: list[Tensor]) -> Tensor:
    """The mean over the batches of an optimizer step and over ranks."""
    mean = torch.stack(losses).float().mean()
    if trainer.world_size == 1:
        return mean
    reduced = trainer.strategy.reduce(mean, reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def _ends_here(trainer: Trainer) -> bool:
    """Whether an epoch or a validation ends this stretch: nothing is left for them to look at."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return loop.batch_progress.is_last_batch or loop._should_check_val_fx(fetcher)
